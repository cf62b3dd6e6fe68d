"""Bounds of what is claimed of a nonlinearity above a normalizer."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FLOAT64, Array
from normcheck.normalizers.reference.oracle import Truth


def rounded_bias(truth: Truth, bias: Array) -> Array:
    """What rounding a chosen bias to the case's format changes in y: u of its size, and u for the sum that made it."""
    return 2.0 * truth.case.format.u * bias


def restored(truth: Truth, s: Array, mean: Array, offset: float) -> Array:
    """What rounding the weight s - offset and the bias mean to the case's format changes in y.

    s, mean: as they broadcast against the input; offset: what the contract adds to the weight. The weight is off by
    u (s + offset) when it is formed and by as much when it is rounded, the mean by u |mean| twice. Below the normal
    range the weight loses `Format.floor`, which xh multiplies: 4 times admits every rounding.
    """
    fmt, xh = truth.case.format, np.abs(truth.xh)
    rounded = 2.0 * fmt.u * (xh * (s + 2.0 * offset) + np.abs(mean))
    return np.asarray(rounded + 4.0 * fmt.floor * xh)


def slope(y: Array) -> Array:
    """Relative error of the slope of the sigmoid or of tanh at y, computed in float64 (`reference.nonlinear`).

    cosh y = (e^y + e^-y) / 2 errs by |y| u where y is off by one rounding, since its relative derivative is at most 1;
    the functions and operations around it add a handful of u, and tanh squares what was lost: 8 u (1 + |y|) is more.
    """
    out: Array = 8.0 * FLOAT64.u * (1.0 + np.abs(y))
    return out
