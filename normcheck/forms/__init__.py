"""The other forms in which people write the faults of the catalog, each under the name of its fault."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.faults import Fault
from normcheck.forms.elsewhere import of_rare_calls
from normcheck.forms.gradients import of_gradients
from normcheck.forms.outputs import of_outputs
from normcheck.spec import Normalizer


def forms(normalizer: Normalizer) -> Iterator[Fault]:
    """Other forms of the faults that can befall a normalizer."""
    yield from of_outputs(normalizer)
    yield from of_gradients()
    yield from of_rare_calls()
