"""Linear algebra of traced values: the error of solved equations, and lengths of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array

SINGULAR = 0.02
"""The largest relative error of a matrix, in units of its inverse, at which a solution is analyzed to first order."""


def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length of vectors, as np.linalg.norm has it."""
    if ord not in (None, 2) or (ord == 2 and not isinstance(axis, int) and a.ndim != 1):
        raise UsageError("a forward uses np.linalg.norm of another order than 2")
    return np.sqrt(np.square(a).sum(axis=axis, keepdims=keepdims))


def eliminated(a: Array) -> Array:
    """|L| |U| of a square matrix by elimination with partial pivoting, its rows in the order of the matrix."""
    n = len(a)
    upper, lower, order = a.copy(), np.zeros(a.shape), np.arange(n)
    for k in range(n):
        top = k + int(np.abs(upper[k:, k]).argmax())
        for rows in (upper, lower, order):
            rows[[k, top]] = rows[[top, k]]
        if upper[k, k] != 0.0:
            lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
            upper[k + 1 :] -= np.outer(lower[k + 1 :, k], upper[k])
    out = np.empty(a.shape)
    out[order] = np.abs(lower + np.eye(n)) @ np.abs(np.triu(upper))
    return out


def solution(a: Array, a_off: Array, b: Array, b_off: Array, u: float) -> tuple[Array, Array]:
    """X = A^-1 B, and what it may be off by, for A and B that are off by a_off and b_off.

    Elimination with partial pivoting gives the solution of (A + E) X = B with |E| <= 3 n u |L| |U|, to first order
    (Higham 2002, Accuracy and Stability of Numerical Algorithms, theorem 9.4), so that

        |dX| <= |A^-1| (b_off + (a_off + |E|) |A^-1| |B|).

    |A^-1| |B|, and not |X|, which may be less: right code may multiply by an inverse (section 14.3). Infinite where
    the matrix is so near a singular one that a change of it by its error is not a small one.
    """
    n = a.shape[-1]
    x = np.linalg.solve(a, b)
    inverse = np.abs(np.linalg.inv(a))
    grown = np.stack([eliminated(one) for one in a.reshape(-1, n, n)]).reshape(a.shape)
    changed = a_off + 3.0 * n * u * grown
    off = inverse @ (b_off + changed @ (inverse @ np.abs(b)))
    near = (inverse @ changed).sum(axis=-1).max(axis=-1)[..., None, None] > SINGULAR
    return x, np.where(near, np.inf, off)
