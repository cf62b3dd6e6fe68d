"""Variants: other ways in which people write the faults of the catalog, each under the name of its fault."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.normalizers.faults import Fault
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.variants.gradients import of_gradients
from normcheck.normalizers.variants.outputs import of_outputs
from normcheck.normalizers.variants.rare_calls import of_rare_calls
from normcheck.normalizers.variants.rotations import of_rotations


def variants(normalizer: Normalizer) -> Iterator[Fault]:
    """Variants of the faults that a normalizer can have."""
    yield from of_outputs(normalizer)
    yield from of_gradients()
    yield from of_rare_calls()
    yield from of_rotations()
