"""Bounds of quantized outputs: half a step of the format, and what the normalizer itself may be off by."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FLOAT32, Array
from normcheck.normalizers.quantization import LEAST, ROOM, Quantized

KEPT = 16.0
"""A largest value of fewer steps, or fewer times the smallest normal number, is hardly told from others."""

ROUNDINGS = 4.0
"""Roundings to float32 in a quantizer, each at most u of |y|: of the scale, of its reciprocal, and of two products."""


def scale(of: Quantized, y: Array) -> float:
    """The largest scale that an output may have: one for all of it, larger than needed by `ROOM`."""
    return float(ROOM * np.abs(y).max(initial=0.0) / of.largest)


def coarse(of: Quantized, y: Array) -> Array:
    """How far a quantized output may be from y, whatever its scales are of, if they are no larger than needed.

    A scale s is of the output, a row or a block: it is not known, but s <= S, that of the whole output. Half a step of
    integers is s / 2 <= S / 2. A floating-point number y / s = m 2^e with 1 <= m < 2 has s 2^(e - digits) =
    (|y| / m) 2^-digits <= |y| 2^-digits, which s = |y| 2^-e attains; a subnormal one has s 2^(smallest - digits).
    """
    largest = scale(of, y) / ROOM
    least = largest * of.half_step(np.zeros(y.shape))
    return np.maximum(np.nan_to_num(np.abs(y)) * 2.0**-of.digits, least) if of.digits else np.asarray(least)


def step_of_largest(of: Quantized, y: Array) -> Array:
    """A step where |y| is the largest of its row, else 0, whatever its scales are of.

    The quotient is the end of the range there, a whole number but for rounding: code that truncates may find that
    number or the one before it.
    """
    size = np.abs(y)
    largest = size.max(axis=-1, keepdims=True, initial=0.0)
    step = 0.0 if of.digits else 2.0 * coarse(of, y)
    return np.where(size >= (1.0 - ROUNDINGS * FLOAT32.u) * largest, step, 0.0)


def output(of: Quantized, y: Array, bound: Array, q: Array, scales: Array) -> Array:
    """Bound of q times its scale against y, clipped to the range of the format.

    bound: of the normalizer's output, which may be rounded to its format before it is quantized. A tie may be rounded
    either way. An integer below the range may stop at the least number or at minus the largest, one step before it.
    """
    step = of.half_step(np.round(q, 6))
    short = np.where(y < -of.largest * scales, -of.least - of.largest, 0.0)
    return np.asarray((step + short) * scales + 2.0 * bound + ROUNDINGS * FLOAT32.u * np.abs(y))


def room(of: Quantized, *, constant: bool) -> float:
    """How many times the needed scale a scale may be, so that its steps are small beside the largest value.

    A larger scale costs floating-point numbers no digits until the values are subnormal: those down to 1 / `KEPT` of
    the largest may not be. Of integers it is `ROOM`, and `KEPT` for a constant, which was chosen for other values.
    """
    if of.digits:
        return float(of.largest / (KEPT * 2.0**of.smallest))
    return KEPT if constant else ROOM


def scales_needed(of: Quantized, needed: Array, bound: Array, *, constant: bool) -> tuple[Array, Array, Array]:
    """The smallest and the largest scale where `needed` is just enough, and where that is known.

    bound: of the normalizer's output; of values that may as well be 0 no scale is needed. A constant may be too small
    for some values, which are clipped then.
    """
    off = np.max(bound, initial=0.0, where=np.isfinite(bound)) / of.largest
    least = np.where(constant, 0.0, (1.0 - ROUNDINGS * FLOAT32.u) * needed - 2.0 * off)
    most = room(of, constant=constant) * (1.0 + 2.0 * ROUNDINGS * FLOAT32.u) * needed + off
    return least, np.maximum(most, LEAST / of.largest), needed > 2.0 * off
