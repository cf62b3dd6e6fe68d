"""Floating-point formats as values: unit roundoff, range, and rounding to them.

Every number in a case is representable in the case's format, so that the float64 reference and the implementation
get the same input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EXPONENT = np.uint64(0x7FF << 52)
"""The bits of the exponent in a float64 number."""


@dataclass(frozen=True, slots=True)
class Format:
    """One binary floating-point format as in IEEE 754, with rounding to nearest, ties to even."""

    name: str  # as torch and numpy spell it
    digits: int  # bits of the significand, including the implicit one
    smallest: int  # exponent of the smallest positive normal number
    largest: float  # the largest finite number
    accumulate: str  # name of the format in which a sound implementation computes statistics

    @property
    def u(self) -> float:
        """The unit roundoff: the largest relative error of one rounding."""
        return 2.0**-self.digits

    @property
    def floor(self) -> float:
        """Half the smallest positive subnormal number: the largest absolute error of rounding a subnormal number."""
        return 2.0 ** (self.smallest - self.digits)

    @property
    def wide(self) -> Format:
        """The format in which a sound implementation computes statistics."""
        return FORMATS[self.accumulate]

    @property
    def narrow(self) -> bool:
        """Whether statistics need a wider format than the input has."""
        return self.accumulate != self.name

    def half_ulp(self, x: Array) -> Array:
        """Half a unit in the last place of x: the largest absolute error of rounding to a number of the magnitude of x.

        >>> float(BFLOAT16.half_ulp(np.array(1.5)))
        0.00390625
        """
        return np.asarray(self._power(np.asarray(x, dtype=np.float64)) * 2.0**-self.digits)

    def _power(self, x: Array) -> Array:
        """The largest power of two that is at most |x|, or the smallest normal number; a finite one in any case."""
        power = (x.view(np.uint64) & EXPONENT).view(np.float64)  # faster than frexp and ldexp, by a factor of ten
        return np.minimum(np.maximum(power, 2.0**self.smallest), 2.0**1023)  # np.clip takes twice as long

    def steps_apart(self, a: Array, b: Array) -> Array:
        """How many numbers of this format one passes from a to b, as uint64; +0 and -0 are one step apart, NaNs none.

        >>> int(BFLOAT16.steps_apart(np.array(1.0), np.array(1.0078125)))
        1
        """
        one, other = self._rank(a), self._rank(b)
        same = np.signbit(a) == np.signbit(b)
        apart = np.where(same, np.maximum(one, other) - np.minimum(one, other), one + other + np.uint64(1))
        return np.where(np.isnan(a) & np.isnan(b), np.uint64(0), apart)

    def _rank(self, x: Array) -> Array:
        """How many numbers of this format lie between 0 and |x|; infinity follows the largest one, NaN follows that."""
        size = np.abs(np.asarray(x, dtype=np.float64))
        finite = np.where(size <= self.largest, size, self.largest)
        exponent = np.where(finite == 0.0, self.smallest, np.maximum(np.frexp(finite)[1] - 1, self.smallest))
        digits = np.ldexp(finite, self.digits - 1 - exponent).astype(np.uint64)
        above = (exponent - self.smallest).astype(np.uint64) << np.uint64(self.digits - 1)
        beyond = np.where(np.isnan(size), np.uint64(2), np.where(np.isinf(size), np.uint64(1), np.uint64(0)))
        return np.asarray(above + digits + beyond)

    def round(self, x: Array) -> Array:
        """x rounded to this format, ties to even, overflow to infinity; the result is a float64 array.

        >>> float(BFLOAT16.round(np.array(1.005)))
        1.0078125
        """
        x = np.asarray(x, dtype=np.float64)
        if self.name == "float64":
            return x
        if self.name != "bfloat16":
            with np.errstate(over="ignore"):
                return x.astype(self.name).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            step = self._power(x) * 2.0 ** (1 - self.digits)
            near = np.rint(x / step) * step
            return np.where(np.abs(near) > self.largest, np.copysign(np.inf, x), near)


FLOAT64 = Format("float64", 53, -1022, float(np.finfo(np.float64).max), "float64")
FLOAT32 = Format("float32", 24, -126, float(np.finfo(np.float32).max), "float32")
BFLOAT16 = Format("bfloat16", 8, -126, float(2.0**128 - 2.0**120), "float32")
FLOAT16 = Format("float16", 11, -14, 65504.0, "float32")

FORMATS = {f.name: f for f in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)}
"""Every format by its name."""

NARROW_NAMES = tuple(f.name for f in FORMATS.values() if f.narrow)
"""Names of the formats of half precision."""

WIDE_NAMES = tuple(f.name for f in FORMATS.values() if not f.narrow)
"""Names of the formats in which a sound implementation keeps its statistics as they are, the most precise first."""


def powers(base: float, exponents: Array) -> Array:
    """base ** exponents with the same bits on every processor, so that a case that is drawn is the same everywhere.

    numpy's own power has other last bits where the processor has AVX-512.
    """
    return np.array([math.pow(base, one) for one in exponents.flat]).reshape(exponents.shape)
