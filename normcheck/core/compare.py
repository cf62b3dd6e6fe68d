"""Entrywise comparison of an observed array with an expected one and a bound; all checks use it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.result import Comparison, Metrics


@dataclass(frozen=True, slots=True)
class ComparedArrays:
    """Two arrays of one shape that a check has compared, and what came of it."""

    observed: Array
    expected: Array
    comparison: Comparison


_COMPARED: ContextVar[list[ComparedArrays] | None] = ContextVar("compared arrays", default=None)


@contextmanager
def compared_arrays() -> Iterator[list[ComparedArrays]]:
    """A list of all arrays that are compared inside, for a picture of a finding."""
    arrays: list[ComparedArrays] = []
    token = _COMPARED.set(arrays)
    try:
        yield arrays
    finally:
        _COMPARED.reset(token)


def bound_ratios(
    observed: Array, expected: Array, allowed: Array, rounding: Array | float = 0.0
) -> tuple[Array, Array]:
    """Absolute errors and their ratios to the bound, of the shape of `expected`; a ratio above 1 violates the law.

    allowed: the bound, broadcast to that shape. rounding: the error that the final rounding of a correct result can
    cause. Using all of it is normal and carries no information, so it is subtracted from both the error and the bound.
    """
    with np.errstate(all="ignore"):
        error = np.asarray(np.abs(observed - expected))
        if np.ndim(rounding) or rounding:
            certain = np.where(np.less(rounding, allowed), rounding, 0.0)
            ratio = np.asarray(np.maximum(error - certain, 0.0) / (allowed - certain))
        else:
            ratio = np.asarray(error / allowed)
    if not math.isfinite(ratio.sum()):  # rare: the output is not finite, or the bound is 0
        error[~np.isfinite(observed)] = np.inf
        ratio[np.isnan(ratio) | ~np.isfinite(observed)] = np.inf
        ratio[error == 0] = 0.0
    return error, ratio


def differ(
    law: str,
    observed: Array,
    expected: Array,
    allowed: Array,
    mask: Array | None = None,
    metrics: Metrics | None = None,
    detail: str = "",
    rounding: Array | float = 0.0,
) -> Comparison:
    """Compare two arrays entry by entry with a bound; NaN where a finite number is expected is an infinite error.

    Entries outside the mask, and entries where `expected` is not finite, are neither compared nor counted. The
    arguments are broadcast to one shape; rounding is explained at `bound_ratios`.
    """
    if np.shape(observed) != np.shape(expected):
        observed, expected = np.broadcast_arrays(observed, expected)
    counted = np.isfinite(expected)
    if mask is not None:
        counted &= mask
    count = int(np.count_nonzero(counted))
    if count == 0:
        return Comparison(law, 0, 0.0, metrics=metrics or {}, detail=detail)
    error, ratio = bound_ratios(observed, expected, allowed, rounding)
    if count < counted.size:
        ratio[~counted] = -1.0
    where, bound = np.unravel_index(int(np.argmax(ratio)), ratio.shape), np.asarray(allowed)
    comparison = Comparison(
        law,
        count,
        float(ratio[where]),
        float(error[where]),
        float((bound if bound.shape == expected.shape else np.broadcast_to(bound, expected.shape))[where]),
        tuple(int(i) for i in where),
        detail,
        metrics or {},
    )
    if (kept := _COMPARED.get()) is not None:
        kept.append(ComparedArrays(observed, expected, comparison))
    return comparison
