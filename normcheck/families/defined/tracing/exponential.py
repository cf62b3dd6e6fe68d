"""The exponential of a matrix, which numpy has not, of plain, complex and traced values.

By scaling and squaring (Higham 2008, Functions of Matrices, section 10.3): exp(A) = T(A / 2^s)^(2^s), T a Taylor
polynomial, the sizes in a column of A / 2^s at most 1 in sum. Errors are bounded in the spectral norm, which for an
orthogonal result each squaring only doubles; that of entries, as running errors have it, would grow by a power of the
width. A computed product X Y is off by n u |X| |Y| in sizes (Higham 2002, section 3.5), whose norm is at most n u times
the Frobenius norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.defined.tracing.linear import SINGULAR
from normcheck.families.defined.tracing.traced import Traced

TERMS = 18
"""The degree of the polynomial: the next term is below 1 / 19!, which is less than a roundoff of float64."""


def _squarings(a: Any) -> int:
    """How often a matrix is halved until its sizes sum to at most 1 in each column."""
    size = float(np.abs(np.real(a)).sum(axis=0).max(initial=0.0))
    return max(int(np.ceil(np.log2(size))), 0) if np.isfinite(size) and size > 0.0 else 0


def _norm(a: Array) -> float:
    return float(np.linalg.norm(a, 2))


def _sizes(a: Array) -> float:
    """At least the spectral norm of the matrix of sizes: the Frobenius norm."""
    return float(np.sqrt(np.square(a).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Estimated:
    """A square matrix that is off by at most so much in the spectral norm, in an arithmetic of roundoff u."""

    value: Array
    off: float
    u: float

    def __matmul__(self, other: Estimated) -> Estimated:
        rounding = len(self.value) * self.u * _sizes(self.value) * _sizes(other.value)
        off = _norm(self.value) * other.off + self.off * _norm(other.value) + self.off * other.off + rounding
        return Estimated(self.value @ other.value, off, self.u)

    def __add__(self, other: Estimated) -> Estimated:
        out = self.value + other.value
        return Estimated(out, self.off + other.off + self.u * _sizes(out), self.u)

    def __truediv__(self, number: float) -> Estimated:
        out = self.value / number
        return Estimated(out, self.off / number + self.u * _sizes(out), self.u)

    def off_of_entries(self) -> Array:
        """What each entry may be off by; infinite where the error is no small share of the matrix."""
        small = self.off <= SINGULAR * _norm(self.value)
        return np.full(self.value.shape, self.off if small else np.inf)


def _given(value: Array, off: Array, u: float) -> Estimated:
    return Estimated(value, _norm(off), u)


def exponential(a: Any, one: Any, times: int) -> Any:
    """exp(A) by so many squarings, of arrays or of estimated matrices; one: the unit matrix."""
    base, out = a / 2.0**times, one
    for k in range(TERMS, 0, -1):
        out = one + base @ out / float(k)
    for _ in range(times):
        out = out @ out
    return out


def derivative(a: Estimated, along: Estimated, one: Estimated, times: int) -> Estimated:
    """The derivative of the exponential in a direction: that of each step, as for dual numbers."""
    base, step, out = a / 2.0**times, along / 2.0**times, one
    slope = Estimated(np.zeros(one.value.shape), 0.0, one.u)
    for k in range(TERMS, 0, -1):
        slope = (base @ slope + step @ out) / float(k)
        out = one + base @ out / float(k)
    for _ in range(times):
        slope, out = out @ slope + slope @ out, out @ out
    return slope


def expm(x: Any) -> Any:
    """The exponential of a square matrix: its gradient is the derivative at the transpose, in the direction dy."""
    times = _squarings(x.value if isinstance(x, Traced) else x)
    if not isinstance(x, Traced):
        return exponential(x, np.eye(len(x), dtype=x.dtype), times)
    one = Estimated(np.eye(len(x)), 0.0, x.u)
    made: Estimated = exponential(_given(x.value, x.off, x.u), one, times)

    def pull(g: Traced) -> Traced:
        found = derivative(_given(x.value.T, x.off.T, x.u), _given(g.value, g.off, x.u), one, times)
        return Traced(found.value, found.off_of_entries(), x.by)

    return Traced(made.value, made.off_of_entries(), x.by, [(x, pull)])
