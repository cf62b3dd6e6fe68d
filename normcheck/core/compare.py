"""Two comparisons that all checks use: entry by entry against what is allowed."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.result import Comparison, Metrics


def bound_ratios(
    observed: Array, expected: Array, allowed: Array, rounding: Array | float = 0.0
) -> tuple[Array, Array]:
    """Errors, and what they use of what is allowed; above 1 the law does not hold. Of the shape of what is expected.

    rounding: what the last rounding of a correct result costs by itself. All of it may be used, and tells nothing: it
    is taken off the error and off what is allowed, so that the ratio is that of an estimate, with room to spare.
    """
    limit = np.broadcast_to(allowed, expected.shape)
    certain = np.where(np.less(rounding, limit), rounding, 0.0)
    with np.errstate(all="ignore"):
        error = np.asarray(np.abs(observed - expected))
        error[~np.isfinite(observed)] = np.inf
        ratio = np.asarray(np.maximum(error - certain, 0.0) / (limit - certain))
    ratio[np.isnan(ratio)] = np.inf
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
    """Compare entry by entry against what is allowed; NaN where a number is expected counts as infinitely far.

    Entries outside the mask and those for which the reference has no number are not compared and not counted.
    """
    observed, expected = np.broadcast_arrays(observed, expected)
    counted = np.isfinite(expected)
    if mask is not None:
        counted &= np.broadcast_to(mask, expected.shape)
    count = int(counted.sum())
    if count == 0:
        return Comparison(law, 0, 0.0, metrics=metrics or {}, detail=detail)
    error, ratio = bound_ratios(observed, expected, allowed, rounding)
    ratio[~counted] = -1.0
    where = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return Comparison(
        law,
        count,
        float(ratio[where]),
        float(error[where]),
        float(np.broadcast_to(allowed, expected.shape)[where]),
        tuple(int(i) for i in where),
        detail,
        metrics or {},
    )
