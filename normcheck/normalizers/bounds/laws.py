"""Bounds of laws between answers: each follows from the bounds of the answers that the law compares.

An answer y is off by at most its bound b from the exact value. If a law says that a sum of answers with factors c is 0,
it may be off by sum |c| b (the triangle inequality), and by the roundings that the factors themselves bring.
"""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.reference.oracle import Truth


def two_answers(bound: Array) -> Array:
    """Bound between two answers to one question, each within the bound of the exact value."""
    return np.asarray(2.0 * bound)


def quantized(moved: Truth, truth: Truth) -> Array:
    """What rounding a shifted input to its format changes in y: the difference of the exact outputs.

    A law of shifts compares y(x + c) with y(x). Rounding x + c is a change of the input, no error of the code.
    """
    return np.asarray(np.abs(moved.y - truth.y))


def normalized(gain: Array | float, bound: Array) -> Array:
    """Bound of xh = (y - bias) / weight from that of y; the division by the weight carries it over."""
    return np.asarray(bound / np.abs(gain))


def affine_map(gain: Array, whole: Array, plain: Array) -> Array:
    """Bound, or last rounding, of y(w, b) - (w y(1, 0) + b) from those of y(w, b), whole, and of y(1, 0), plain."""
    return np.asarray(whole + np.abs(gain) * plain)


def mean_square(truth: Truth, xh: Array, bound: Array, ratio: Array) -> Array:
    """Bound of the mean square of xh, (sets,). xh, bound: of the entries that the statistic reads, (sets, part).

    With |error| <= b an entry's square is off by at most (2 |xh| + b) b. The sum and its division in float64, and an
    output that was rounded to its format before the mean square was taken, change it by a few u of its size: 8 u.
    ratio: the exact mean square, (sets,).
    """
    spread = ((2.0 * np.abs(xh) + bound) * bound).sum(axis=1) / truth.setting.divisor
    return np.asarray(spread + 8.0 * truth.case.format.u * np.maximum(ratio, 1.0))


def mean(truth: Truth, bound: Array) -> Array:
    """Bound of the mean of xh, (sets,): the mean of the bounds, and 8 u for rounding entries of mean square 1."""
    return np.asarray(bound.mean(axis=1) + 8.0 * truth.case.format.u)


def largest(truth: Truth, bound: Array, top: float) -> Array:
    """Bound of how far |xh| exceeds top = `standardize.reach`: its own bound, and 4 u top for a root and roundings."""
    return bound + 4.0 * top * truth.case.format.u


def length(truth: Truth, bound: Array) -> Array:
    """Bound of a length that multiplies each weight vector, of the weight's shape, from the bound of the vectors.

    By the triangle inequality a norm is off by at most the norm of the errors.
    """
    assert truth.weight is not None, "the normalizer acts on weights"
    part = truth.partition
    return np.asarray(np.sqrt(np.square(part.gather(bound)).sum(axis=1)).reshape(truth.weight.shape))
