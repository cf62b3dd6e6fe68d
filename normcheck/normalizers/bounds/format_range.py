"""The range of a format: what is lost where numbers below it become zero, and scales at which powers stay in it."""

from __future__ import annotations

import math

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.normalizers.reference.oracle import Truth


def flushed(truth: Truth) -> Array:
    """Bound of what y loses where every number below the smallest normal number m may become zero.

    The input, the deviation from the mean and the mean itself lose at most m each, which division by s makes 3 m / s;
    the normalized input loses m; both are multiplied by the weight. The output loses m once more.
    """
    least = 2.0**truth.case.format.smallest
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    per_set = truth.partition.per_set(least + 3.0 * least / truth.saved.s)
    return np.asarray(gain * per_set + least)


def _exponent(format: Format) -> int:
    """Exponent of the largest power of two."""
    return math.frexp(format.largest)[1] - 1


def scales_of_squares(truth: Truth) -> tuple[int, int]:
    """Largest and smallest exponent of a scale of the input at which a sound algorithm neither over- nor underflows.

    The square of a sum of n entries is at most n^2 max x^2, which must be below a quarter of the largest number. v must
    be normal down to its last digit: u s^2, u of the format that keeps statistics, must be above the inverse of that.
    """
    format = truth.case.format
    largest = truth.setting.n * float(np.abs(truth.saved.x).max())
    smallest = float(truth.saved.s.min()) * math.sqrt(format.wide.u)
    half = (_exponent(format) - 2) / 2
    return math.floor(half - math.log2(largest)), math.ceil(-half - math.log2(smallest))


def scales_of_cubes(truth: Truth) -> tuple[int, int]:
    """Largest and smallest exponent of a scale of the input at which cubes of s and of 1 / s are normal numbers.

    Fused backwards compute with both. The cube of the larger of n max |x| and 1 / s must be below a quarter of the
    largest number; the smallest exponent is the negative of the largest.
    """
    size = truth.setting.n * float(np.abs(truth.saved.x).max())
    size = max(size, 1.0 / float(truth.saved.s.min()))
    reach = math.floor((_exponent(truth.case.format) - 2) / 3 - math.log2(size))
    return reach, -reach
