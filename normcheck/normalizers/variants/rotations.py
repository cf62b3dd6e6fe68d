"""Variants of faults of rotary position embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from normcheck.normalizers.faults import Fault
from normcheck.normalizers.faults.rotary import rotated_by
from normcheck.normalizers.rotary import Rotation
from normcheck.normalizers.variants.variant import variant


def _other_pairs_of_wide_tables(rotation: Rotation) -> Rotation:
    """Each entry has its own cosine and sine, which are those of the pairs that were promised."""
    return replace(rotation, neighbors=not rotation.neighbors)


def of_rotations() -> Iterator[Fault]:
    """Variants that rotate otherwise."""
    yield variant("rotary-with-other-pairs", after=rotated_by(_other_pairs_of_wide_tables))
