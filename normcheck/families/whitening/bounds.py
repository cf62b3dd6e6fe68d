"""How far a correct whitening layer may be off on a case: to first order, norm-wise, with the smallest eigenvalue.

Notation: u is the unit roundoff, S the covariance with eps, l its smallest eigenvalue, x and dy of one group as
(channels, members), c the centered x, R the matrix that whitens. Distances between eigenvalues do not enter: the
divided differences of a^(-1/2) are bounded by l^(-3/2) / 2, those of its derivative by 3 l^(-5/2) / 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.result import WITNESS
from normcheck.families.whitening.case import (
    WhiteningAnswer,
    WhiteningCase,
    beside,
    channel_axes,
    fold,
    per_channel,
    unfold,
)
from normcheck.families.whitening.reference import Root, Whitened, flip, whitened
from normcheck.normalizers.bounds.bounds import RESOLVES

CONSTANT = 8.0
"""Roundings of one sum beside those that grow with its number of terms."""

AFFINE = 4.0
"""Roundings of multiplying by the weight and adding the bias."""

BLEND = 8.0
"""Roundings of (1 - momentum) old + momentum new."""

NEGLIGIBLE = 2.0**-60
"""Factor that makes an eps so small that it changes nothing."""

SHOWN = 2.0 * WITNESS
"""Bounds by which a predicted change must exceed the allowed error, so that a correct layer shows `WITNESS` of them."""

AMPLIFIED = 1.5
"""Each iteration P -> (3 P - P^3 S / t) / 2 multiplies P by at most this."""


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningBounds:
    """What each array of an answer may be off by, of its shape; entries of unresolved groups are not to be compared."""

    y: Array
    dx: Array
    dweight: Array
    dbias: Array
    running_mean: Array
    running_cov: Array
    resolved: Array  # (groups,): the error of the covariance is a small share of its smallest eigenvalue

    def visible(self, case: WhiteningCase) -> Array:
        """Channels of resolved groups, (1, channels, 1, ...)."""
        return beside(np.repeat(self.resolved, case.x.shape[1] // case.groups), case.x.ndim)


def _lengths(a: Array, axis: int) -> Array:
    return np.asarray(np.linalg.norm(a, axis=axis, keepdims=True))


def _floor(root: Root) -> float:
    """The share of the trace below which an iterated root does not see an eigenvalue: its square is at most 1.5^steps.

    An exact root sees all.
    """
    return 0.0 if root.exact else AMPLIFIED ** (-2 * root.steps)


def _spread(root: Root, size: int) -> float:
    """By how much an error of the covariance grows in R: through triangles of a matrix, or through iterations."""
    return 1.0 + 0.5 * float(np.log2(size)) if root.exact else AMPLIFIED


def allowed(root: Root, case: WhiteningCase) -> WhiteningBounds:
    """What a correct answer to a case may be off by.

    The covariance is off by e = 2 sqrt(tr S) |x| u + c u tr S, with c the roundings of a sum over members and of a
    product of matrices; R by e l^(-3/2) / 2, and what the gradient takes from R's derivative by 3 e l^(-5/2) / 4.
    y = R c adds |R| times the errors of c; dx adds those of R^T dy, and of 2 S' c / members in training.
    """
    u, shape, done = case.format.u, case.x.shape, whitened(root, case)
    x, dy = fold(case.x, case.groups), fold(case.dy * per_channel(case.weight, shape, 1.0), case.groups)
    members, size = x.shape[-1], x.shape[-2]
    count = CONSTANT + 0.375 * members + 2.0 * size
    total = np.trace(done.damped, axis1=-2, axis2=-1)[:, None, None]
    least = np.maximum(np.linalg.eigvalsh(done.damped)[:, 0][:, None, None], _floor(root) * total)
    off_x = CONSTANT * u * _lengths(np.abs(x).max(axis=-1, keepdims=True) + np.abs(done.mean), -2)
    off_mean = count * u * np.abs(x).max(axis=-1, keepdims=True)
    off_cov = 2.0 * np.sqrt(total) * off_x + count * u * total if case.training else count * u * total
    off_x = off_x + _lengths(off_mean, -2) if case.training else off_x
    slope, bend = 0.5 * least**-1.5, 0.75 * least**-2.5
    spread = _spread(root, size)
    off_matrix, height = spread * slope * off_cov, least**-0.5
    long, tall = _lengths(done.centered, -2), _lengths(dy, -2)
    off_y = off_matrix * long + height * (off_x + count * u * long)
    summed, off_inner = (tall * long).sum(-1, keepdims=True), (tall * (count * u * long + off_x)).sum(-1, keepdims=True)
    off_root = spread * (bend * off_cov * summed + slope * (off_inner + count * u * summed))
    off_dx = off_matrix * tall + count * u * height * tall
    if case.training:
        off_dx = off_dx + 2.0 / members * (off_root * long + slope * summed * (off_x + count * u * long))
        off_dx = off_dx + off_dx.mean(axis=-1, keepdims=True)
    resolved = (off_cov < RESOLVES * least)[:, 0, 0]
    return _by_array(case, done, np.broadcast_to(off_y, x.shape), np.broadcast_to(off_dx, x.shape), off_mean, off_cov,
                     resolved, count)  # fmt: skip


def _by_array(
    case: WhiteningCase, done: Whitened, off_y: Array, off_dx: Array, off_mean: Array, off_cov: Array, resolved: Array,
    count: float,
) -> WhiteningBounds:  # fmt: skip
    """The errors of whitened channels as errors of each array of the answer."""
    u, shape = case.format.u, case.x.shape
    gain, shift = (np.abs(per_channel(p, shape, d)) for p, d in ((case.weight, 1.0), (case.bias, 0.0)))
    xh, off = np.abs(unfold(done.y, shape)), unfold(off_y, shape)
    axes = channel_axes(len(shape))
    size = np.abs(case.dy)
    held = np.abs(case.running_mean) + np.abs(done.mean.reshape(-1))
    held_cov = np.abs(case.running_cov) + np.abs(done.covariance)
    moving = case.momentum if case.training else 0.0
    return WhiteningBounds(
        y=gain * off + AFFINE * u * (gain * xh + shift),
        dx=unfold(off_dx, shape),
        dweight=(size * (off + count * u * xh)).sum(axes),
        dbias=count * u * size.sum(axes),
        running_mean=moving * (off_mean.reshape(-1) + BLEND * u * held),
        running_cov=moving * (off_cov + BLEND * u * held_cov),
        resolved=resolved,
    )


def difference(one: Array, other: Array) -> Array:
    """Of two answers that are compared with each other, each off by its own bound."""
    return one + other


def eigenvalues(root: Root, case: WhiteningCase, off: WhiteningBounds) -> Array:
    """Of cov(y), (groups, channels of one group); the case has neither weight nor bias.

    |cov(y) - cov(y')| <= 2 |y| |y - y'| and the mean's own error, with |y - y'| <= sqrt(channels) times the largest
    error of an entry; an eigenvalue moves by no more than the matrix (Weyl).
    """
    y = fold(off.y, case.groups)
    size = np.linalg.norm(fold(unfold(whitened(root, case).y, case.x.shape), case.groups), axis=1).max(-1)
    return np.asarray((2.0 * size * np.sqrt(y.shape[1]) * y.max((1, 2)))[:, None] + np.zeros((1, y.shape[1])))


def turned(after: WhiteningBounds, before: WhiteningBounds, size: int) -> Array:
    """Of y(Q x) against Q y(x), of the shape of y: an error of y, turned within a group, is sqrt(size) times it."""
    return np.asarray(after.y + before.y.max() * np.sqrt(size))


def skew(case: WhiteningCase, got: WhiteningAnswer, off: WhiteningBounds) -> Array:
    """Of the skew part of dx x^T - dy y^T, (groups, d, d): products of each factor's error with the other's size.

    The errors are those of dx and y by their bounds, and one rounding of each as it is returned.
    """
    assert got.dx is not None
    x, dy, y, dx = (fold(a, case.groups) for a in (case.x, case.dy, got.y, got.dx))
    off_x, off_y = fold(off.dx, case.groups), fold(off.y, case.groups)
    u, size = case.format.u, np.where(np.isfinite(dx), np.abs(dx), 0.0)
    limit = (off_x + u * size) @ flip(np.abs(x)) + np.abs(dy) @ flip(off_y + u * np.abs(y))
    return np.asarray(limit + flip(limit))
