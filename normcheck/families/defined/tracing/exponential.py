"""The exponential of a matrix, which numpy has not, of plain, complex and traced values.

By scaling and squaring (Higham 2008, Functions of Matrices, section 10.3): exp(A) = T(A / 2^s)^(2^s), T a Taylor
polynomial, with |A| / 2^s at most 1. Errors are bounded in the spectral norm, which for an orthogonal result each
squaring only doubles; that of entries, as running errors have it, would grow by a power of the width.

With E and L the exponential and its derivative in the direction H at one step, both off by e and l, in norms:

    E' = E E,        e' = 2 |E| e + r |E|^2
    L' = E L + L E,  l' = 2 |E| l + 2 |L| e + 2 r |E| |L|

where r = n^2 u, as a product of matrices is off by n u |X| |Y| in sizes, and sizes have at most sqrt(n) times the norm.
"""

from __future__ import annotations

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


def _polynomial(a: Any) -> Any:
    """The first terms of the series of the exponential, by Horner's rule."""
    one = np.eye(len(a), dtype=a.dtype)
    out = one
    for k in range(TERMS, 0, -1):
        out = one + a @ out / float(k)
    return out


def _exponential(a: Any) -> Any:
    times = _squarings(a)
    out = _polynomial(a / 2.0**times)
    for _ in range(times):
        out = out @ out
    return out


def _size(a: Array) -> float:
    return float(np.linalg.norm(a, 2))


def _infinite_beyond(off: float, made: Array) -> Array:
    """The same bound for each entry; none where the error is no small share of the result."""
    return np.full(made.shape, off if off <= SINGULAR * _size(made) else np.inf)


def with_error(a: Array, a_off: Array, u: float) -> tuple[Array, Array]:
    """exp(A), and what its entries may be off by, for a matrix that is off by a_off."""
    times, r = _squarings(a), len(a) ** 2 * u
    base = a / 2.0**times
    out = _polynomial(base)
    off = np.exp(_size(base)) * (_size(a_off) / 2.0**times + TERMS * r)
    for _ in range(times):
        off = 2.0 * _size(out) * off + r * _size(out) ** 2
        out = out @ out
    return out, _infinite_beyond(off, out)


def derivative(a: Array, a_off: Array, h: Array, h_off: Array, u: float) -> tuple[Array, Array]:
    """The derivative of the exponential in the direction H, and what its entries may be off by.

    It is the upper right block of exp((A H; 0 A)) (Van Loan 1978), here of the polynomial, then by its own squarings.
    """
    n, times = len(a), _squarings(a)
    r, scale = n**2 * u, 2.0**-times
    base, along = a * scale, h * scale
    both = _polynomial(np.block([[base, along], [np.zeros((n, n)), base]]))
    out, slope = both[:n, :n], both[:n, n:]
    grown = np.exp(_size(base))
    off = grown * (_size(a_off) * scale + TERMS * r)
    slope_off = grown * (_size(h_off) * scale + _size(along) * (_size(a_off) * scale + TERMS * r))
    for _ in range(times):
        size, steep = _size(out), _size(slope)
        slope_off = 2.0 * size * slope_off + 2.0 * steep * off + 2.0 * r * size * steep
        off = 2.0 * size * off + r * size**2
        slope, out = out @ slope + slope @ out, out @ out
    return slope, _infinite_beyond(slope_off, slope)


def expm(x: Any) -> Any:
    """The exponential of a square matrix: its gradient is the derivative at the transpose, in the direction dy."""
    if not isinstance(x, Traced):
        return _exponential(x)

    def pull(g: Traced) -> Traced:
        return Traced(*derivative(x.value.T, x.off.T, g.value, g.off, x.u), x.by)

    return Traced(*with_error(x.value, x.off, x.u), x.by, [(x, pull)])
