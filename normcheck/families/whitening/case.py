"""One batch that is whitened, the true answer, and how far a correct one may be off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.families.whitening import reference
from normcheck.families.whitening.reference import Root, Whitened
from normcheck.normalizers.bounds.bounds import RESOLVES


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningCase:
    """x and dy: (cases, channels, *space); weight, bias, running_mean: (channels,); running_cov: (groups, d, d)."""

    x: Array
    dy: Array
    weight: Array | None
    bias: Array | None
    running_mean: Array
    running_cov: Array
    eps: float
    momentum: float
    groups: int
    format: Format
    training: bool = True
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> WhiteningCase:
        return replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        return {
            "shape": list(self.x.shape),
            "format": self.format.name,
            "groups": self.groups,
            "eps": self.eps,
            "training": self.training,
            "weight": self.weight is not None,
            "bias": self.bias is not None,
            **self.drawn,
        }


def fold(a: Array, groups: int) -> Array:
    """(cases, channels, *space) as (groups, channels of one, members)."""
    return np.moveaxis(a, 1, 0).reshape(groups, a.shape[1] // groups, -1)


def unfold(a: Array, shape: tuple[int, ...]) -> Array:
    """Back to the shape of the input."""
    return np.moveaxis(a.reshape(shape[1], shape[0], *shape[2:]), 0, 1)


def per_channel(values: Array | None, shape: tuple[int, ...], default: float) -> Array:
    """A parameter beside the input; one that is not there is the default everywhere."""
    values = np.full(shape[1], default) if values is None else values
    return values.reshape(1, -1, *[1] * (len(shape) - 2))


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningAnswer:
    """What is compared, in float64; gradients are None where they were not asked."""

    y: Array
    dx: Array | None = None
    dweight: Array | None = None
    dbias: Array | None = None
    running_mean: Array | None = None
    running_cov: Array | None = None


def whitened(root: Root, case: WhiteningCase) -> Whitened:
    x = fold(case.x, case.groups)
    if case.training:
        return reference.forward(root, x, case.eps)
    return reference.given(root, x, case.running_mean.reshape(case.groups, -1, 1), case.running_cov, case.eps)


def true(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Everything by the closed forms."""
    shape, done = case.x.shape, whitened(root, case)
    gain, shift = per_channel(case.weight, shape, 1.0), per_channel(case.bias, shape, 0.0)
    xh = unfold(done.y, shape)
    dx = unfold(reference.backward(root, done, fold(case.dy * gain, case.groups), constant=not case.training), shape)
    axes = tuple(i for i in range(len(shape)) if i != 1)
    mean, cov = case.running_mean, case.running_cov
    if case.training:
        mean = mean + case.momentum * (done.mean.reshape(-1) - mean)
        cov = cov + case.momentum * (done.covariance - cov)
    return WhiteningAnswer(xh * gain + shift, dx, (case.dy * xh).sum(axes), case.dy.sum(axes), mean, cov)


def constant_statistics(root: Root, case: WhiteningCase) -> Array:
    """The gradient of x that takes the statistics of the batch for constants."""
    shape = case.x.shape
    dy = fold(case.dy * per_channel(case.weight, shape, 1.0), case.groups)
    return unfold(reference.backward(root, whitened(root, case), dy, constant=True), shape)


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """What each part of an answer may be off by; all infinite where first-order analysis ends."""

    y: Array
    dx: Array
    dweight: Array
    dbias: Array
    running_mean: Array
    running_cov: Array
    resolved: Array  # (groups,): a covariance's error is a small share of its smallest eigenvalue


CONSTANT = 8.0
"""Roundings of one sum beside those that grow with its terms."""


def _lengths(a: Array, axis: int) -> Array:
    return np.asarray(np.linalg.norm(a, axis=axis, keepdims=True))


def allowed(root: Root, case: WhiteningCase, floor: float) -> Allowed:
    """Norm-wise, to first order, with l the smallest eigenvalue of S: eigenvalues' distances do not enter.

    A covariance is off by e = 2 sqrt(tr S) |x| u + c u tr S, its matrix by e l^(-3/2) / 2 (largest divided
    difference), the derivative of that by 3 e l^(-5/2) / 4. floor: the share of the trace below which IterNorm does
    not see an eigenvalue, because P_5 <= 1.5^5; 0 for exact roots.
    """
    u, shape, done = case.format.u, case.x.shape, whitened(root, case)
    x, dy = fold(case.x, case.groups), fold(case.dy * per_channel(case.weight, shape, 1.0), case.groups)
    members, size = x.shape[-1], x.shape[-2]
    count = CONSTANT + 0.375 * members + 2.0 * size
    total = np.trace(done.damped, axis1=-2, axis2=-1)[:, None, None]
    least = np.maximum(np.linalg.eigvalsh(done.damped)[:, 0][:, None, None], floor * total)
    off_x = CONSTANT * u * _lengths(np.abs(x).max(axis=-1, keepdims=True) + np.abs(done.mean), -2)
    off_mean = count * u * np.abs(x).max(axis=-1, keepdims=True)
    off_cov = 2.0 * np.sqrt(total) * off_x + count * u * total if case.training else count * u * total
    off_x = off_x + _lengths(off_mean, -2) if case.training else off_x
    slope, bend = 0.5 * least**-1.5, 0.75 * least**-2.5
    spread = 1.0 + 0.5 * np.log2(size) if not floor else 1.5  # triangles of a matrix; steps that amplify
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
    return _parts(case, done, np.broadcast_to(off_y, x.shape), np.broadcast_to(off_dx, x.shape), off_mean, off_cov,
                  resolved, count)  # fmt: skip


def _parts(
    case: WhiteningCase, done: Whitened, off_y: Array, off_dx: Array, off_mean: Array, off_cov: Array, resolved: Array,
    count: float,
) -> Allowed:  # fmt: skip
    """What is allowed per array of the answer."""
    u, shape = case.format.u, case.x.shape
    gain, shift = (np.abs(per_channel(p, shape, d)) for p, d in ((case.weight, 1.0), (case.bias, 0.0)))
    xh, off = np.abs(unfold(done.y, shape)), unfold(off_y, shape)
    axes = tuple(i for i in range(len(shape)) if i != 1)
    size = np.abs(case.dy)
    held = np.abs(case.running_mean) + np.abs(done.mean.reshape(-1))
    held_cov = np.abs(case.running_cov) + np.abs(done.covariance)
    moving = case.momentum if case.training else 0.0
    return Allowed(
        y=gain * off + 4.0 * u * (gain * xh + shift),
        dx=unfold(off_dx, shape),
        dweight=(size * (off + count * u * xh)).sum(axes),
        dbias=count * u * size.sum(axes),
        running_mean=moving * (off_mean.reshape(-1) + 8.0 * u * held),
        running_cov=moving * (off_cov + 8.0 * u * held_cov),
        resolved=resolved,
    )
