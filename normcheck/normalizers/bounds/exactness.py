"""Bounds of laws that hold exactly in floating point, and of answers that are a yes or a no."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.core.result import WITNESS
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import Truth

NOTHING: Array = np.zeros(())
"""Bit for bit: nothing but equality is allowed."""

HALF_A_STEP: Array = np.asarray(0.5)
"""Bound of a flag (1 or 0) or a sign (1, 0 or -1): two different values are at least 1 apart."""


def rounded_once(case: Case, result: Array) -> Array:
    """The largest error of rounding a result to the case's format."""
    return case.format.half_ulp(result)


def output(truth: Truth) -> Array:
    """Bound between two outputs that are equal in exact arithmetic and by the same rounding errors.

    Scaling by a power of two and negation commute with rounding, so two outputs of the same code agree bit for bit
    unless it takes another path; the root may be taken by another formula. Each output is then rounded once more, by
    at most u (|w xh| + |b|): 2 u for both. Below the normal range each of them, and each product with the weight, may
    lose `Format.floor` = half the smallest subnormal: 4 times.
    """
    gain = 1.0 if truth.gain is None else np.abs(truth.gain)
    shift = 0.0 if truth.bias is None else np.abs(truth.bias)
    size = gain * np.abs(truth.xh) + shift
    return np.asarray(2.0 * truth.case.format.u * size + 4.0 * truth.case.format.floor)


def scaled_gradient(format: Format, gradient: Array, factor: float) -> Array:
    """Bound between a gradient for the cotangent c dy and c times that for dy; gradient: that for dy.

    Exact as in `output`, c a power of two: 2 u of the size of the scaled gradient, and below the normal range 4 times
    `Format.floor` in each, of which c times the one for dy.
    """
    size = abs(factor)
    return np.asarray(2.0 * format.u * size * np.abs(gradient) + 4.0 * max(size, 1.0) * format.floor)


def certainly_positive(exact: Array, bound: Array) -> Array:
    """Whether an answer to this exact value must be positive, with room for a bound that is an estimate.

    An answer is off by at most the bound, so it is positive from one bound on; it is required from two on.
    """
    return np.asarray(exact > 2.0 * bound)


def can_show(change: Array, bound: Array) -> bool:
    """Whether a case can show that a law does not hold. change: by how much the reference breaks it.

    A witness is a change of `WITNESS` bounds in the answers, each of which may be off by the bound: where the
    reference changes by twice as much, any correct answer changes by more than a witness needs.
    """
    return bool(np.any(change > 2.0 * WITNESS * bound))


def must_move(change: Array, bound: Array) -> Array:
    """The outputs that move for certain when an entry does. change: that of the reference.

    Where it is `WITNESS` bounds, a correct output moves by at least `WITNESS` - 1 of them; one is required.
    """
    return np.asarray(change > WITNESS * bound)


def shortfall(change: Array, bound: Array, must: Array) -> Array:
    """The bound over the change, 0 if none is required; above `LEAST_MOVE` an output moved by less than a bound."""
    with np.errstate(divide="ignore"):
        return np.where(must, bound / change, 0.0)


LEAST_MOVE: Array = np.asarray(1.0)
"""Largest `shortfall` of an output that moves: it moves by one bound."""
