"""Faults of calls: arguments that are overwritten, layouts of memory, results that are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.families.defined.case import COTANGENT, DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import CALLS, DefinedFault, right


def _overwritten(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    return replace(right(entry, case), changed=("x",))


def _in_the_cotangent(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    return replace(right(entry, case), changed=(COTANGENT,))


def _as_contiguous(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    """In another layout, the input is read in the order of memory."""
    if case.order == "contiguous":
        return right(entry, case)
    return right(entry, case.but(x=np.roll(case.x.ravel(), 1).reshape(case.x.shape)))


def _first_again(entry: DefinedNormalizer, case: DefinedCase, first: DefinedCase) -> DefinedAnswer:
    return right(entry, first)


def _last_too(entry: DefinedNormalizer, case: DefinedCase, last: DefinedCase) -> DefinedAnswer:
    return right(entry, last)


def _not_updated(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    found = right(entry, case)
    return replace(found, state={name: case.arrays[name] for name in found.state})


def _stateless(entry: DefinedNormalizer) -> bool:
    return entry.update is None


def _updated(entry: DefinedNormalizer) -> bool:
    return entry.update is not None


ALL = (
    DefinedFault(name="defined-input-overwritten", story="Computes in the memory of its input.", damages=CALLS,
                 answer=_overwritten),
    DefinedFault(name="defined-cotangent-overwritten", story="Its backward computes in the memory of the cotangent.",
                 damages=CALLS, answer=_in_the_cotangent),
    DefinedFault(name="defined-strides-ignored", story="Reads its input in the order of memory.", damages=CALLS,
                 answer=_as_contiguous),
    DefinedFault(name="defined-result-kept", story="Returns the result of the first call again.", damages=CALLS,
                 concerns=_stateless, later=_first_again),
    DefinedFault(name="defined-buffer-reused", story="Writes its result where that of the call before was.",
                 damages=CALLS, concerns=_stateless, earlier=_last_too),
    DefinedFault(name="defined-state-not-updated", story="Leaves its state as it was.", damages=CALLS,
                 concerns=_updated, answer=_not_updated),
)  # fmt: skip
"""Faults of calls."""
