"""Faults of any normalizer, by the structure of its forward: how it sums, what it takes, where its gradient passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import BACKWARD, DefinedFault, in_arithmetic, right
from normcheck.families.defined.reference import apart
from normcheck.families.defined.space import DefinedDraw, defined_case
from normcheck.families.defined.tracing.arithmetic import arithmetic_of
from normcheck.families.defined.tracing.gradients import constant
from normcheck.families.defined.tracing.traced import Traced, average, total

_RIGHT = arithmetic_of(FLOAT64)


def _whole(a: Traced, axis: Any) -> Traced:
    """The mean of all entries, in the shape of that along axes."""
    out: Traced = average(a, None) + np.zeros(average(a, axis).shape)
    return out


def _unbiased(a: Traced, axis: Any) -> Traced:
    found = average(a, axis)
    n = a.size / max(found.size, 1)
    out: Traced = found * (n / max(n - 1.0, 1.0))
    return out


def _tail(a: Traced, axis: Any) -> Traced:
    """The sum without the last entry along the first of the axes."""
    axes = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not axes:  # a sum of one entry each
        return total(a, axis)
    size = a.shape[axes[0]]
    kept = np.ones(size)
    kept[-1] = 0.0
    at = axes[0] % a.ndim
    return total(a * kept.reshape(-1, *[1] * (a.ndim - 1 - at)), axis)


def _detached(a: Traced, axis: Any) -> Traced:
    out: Traced = constant(total(a, axis))
    return out


SUMS = {
    "whole": replace(_RIGHT, mean=_whole),
    "unbiased": replace(_RIGHT, mean=_unbiased),
    "tail": replace(_RIGHT, reduce=_tail),
    "detached": replace(_RIGHT, reduce=_detached),
}


@lru_cache(maxsize=512)
def _differs(entry: DefinedNormalizer, way: str) -> bool:
    """Whether another way to sum shows in the answers to this normalizer, in the output or in the gradient."""
    case = defined_case(entry, DefinedDraw(seed=1, values="offset"))
    try:
        found, due = in_arithmetic(SUMS[way])(entry, case), right(entry, case)
    except (ValueError, IndexError):
        return False
    pairs = [(found.y, due.y), *((found.gradients[name], due.gradients[name]) for name in due.gradients)]
    return any(not np.allclose(a, b, equal_nan=True) for a, b in pairs)


def _shows(way: str) -> Callable[[DefinedNormalizer], bool]:
    return lambda entry: _differs(entry, way)


def _with(**constants: float) -> Callable[[DefinedNormalizer, DefinedCase], DefinedAnswer]:
    return lambda entry, case: right(entry, case.but(constants={**case.constants, **constants}))


def _default_eps(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    return right(entry, case.but(constants={**case.constants, "eps": entry.eps}))


def _has_eps(entry: DefinedNormalizer) -> bool:
    """Whether eps matters: it is tried beside its default."""
    return len(entry.options.get("eps", ())) > 1


def _narrow(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    """The right answer with every array rounded to float32."""
    found = right(entry, case)
    rounded = {name: FLOAT32.round(g) for name, g in found.gradients.items()}
    return replace(found, y=FLOAT32.round(found.y), gradients=rounded)


def _mixed_up(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    """A little of the first entry of the input is in every output."""
    found = right(entry, case)
    return replace(found, y=found.y + LEAK * case.x.flat[0] * np.abs(found.y))


LEAK = 1e-6
"""The share of an entry that leaks into outputs that do not depend on it."""


def _local(entry: DefinedNormalizer) -> bool:
    """Whether some output does not depend on the first entry of the input."""
    return bool(np.any(apart(entry, defined_case(entry, DefinedDraw()), 0)))


ALL = (
    DefinedFault(name="defined-eps-dropped", story="Takes 0 for eps.", concerns=_has_eps, answer=_with(eps=0.0)),
    DefinedFault(name="defined-eps-default", story="Has the default eps, whatever it gets.", concerns=_has_eps,
                 answer=_default_eps),
    DefinedFault(name="defined-statistics-of-all", story="Takes means over the whole tensor.",
                 concerns=_shows("whole"), answer=in_arithmetic(SUMS["whole"])),
    DefinedFault(name="defined-divisor", story="Divides sums of n entries by n - 1 for a mean.",
                 concerns=_shows("unbiased"), answer=in_arithmetic(SUMS["unbiased"])),
    DefinedFault(name="defined-tail-dropped", story="Leaves the last entry out of sums.", concerns=_shows("tail"),
                 answer=in_arithmetic(SUMS["tail"])),
    DefinedFault(name="defined-statistics-detached", story="Takes sums and means as constants in the backward.",
                 damages=BACKWARD, concerns=_shows("detached"), answer=in_arithmetic(SUMS["detached"])),
    DefinedFault(name="defined-in-float32", story="Computes float64 input in float32.", answer=_narrow, noisy=True),
    DefinedFault(name="defined-leak", story="An entry of the input moves outputs that do not depend on it.",
                 concerns=_local, answer=_mixed_up),
)  # fmt: skip
"""Faults by structure."""
