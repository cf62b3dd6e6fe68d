"""The kernel of all normalizers: subtract the mean (or not), divide by the root of the mean (or sum) of squares.

The input is always (sets, members); `normalizer.Partition` decides which entries form a set. Every step is a function
of its own, so that a convention or a known fault replaces one step. All steps are analytic (no abs, conj or max on the
differentiated path), so complex-step differentiation works, and they compute in the number type of their input.

Derivation of the backward, for one set, with m the divisor of the squares and s = s(v):

    1. xh = c / s,  c = x - A mean(x),  v = sum over the part (c^2) / m
    2. dL/dc = g / s - (sum g c) / s^2 * ds/dv * 2 c / m       the second term inside the part only, times B
    3. dL/dx = dL/dc - A mean(dL/dc)                           if the mean is subtracted

A and B say whether the gradient passes through the mean and through the variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array, Format


@dataclass(frozen=True, slots=True)
class Setting:
    """What the steps need beside the data."""

    n: int  # members of a set
    part: int  # how many of them, from the first, the statistic reads
    divisor: float  # of the squares: n, n - 1, or 1 for a sum
    eps: float
    format: Format
    centered: bool
    through: tuple[int, int]  # (A, B)
    scaled: bool = True  # False: nothing is divided by, s = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """Results of the forward that the backward uses. x, c, xh: (sets, members); mu, v, s, slope: (sets, 1)."""

    x: Array
    mu: Array
    c: Array
    v: Array
    s: Array
    slope: Array  # ds/dv
    xh: Array


def reach(k: Setting) -> float:
    """The largest |xh| that an entry read by the statistic can have; it is reached by a single outlier at eps = 0.

    sqrt(m (n - 1) / n) if the mean is subtracted, m the divisor of the squares (Samuelson 1968; sqrt(n - 1) for m = n),
    sqrt(m) if it is not; infinite without a scale.
    """
    if not k.scaled:
        return math.inf
    return math.sqrt(k.divisor * (k.n - 1.0) / k.n) if k.centered else math.sqrt(k.divisor)


def center(x: Array, k: Setting) -> tuple[Array, Array]:
    """Mean and centered input; subtracting the mean of the result removes the rounding error of the first mean."""
    if not k.centered:
        return np.zeros_like(x[:, :1]), x
    mu = x.mean(axis=1, keepdims=True)
    c = x - mu
    return mu, c - c.mean(axis=1, keepdims=True)


def variance(c: Array, x: Array, k: Setting) -> Array:
    """Sum of squares over the entries that the statistic reads, divided by the divisor."""
    read = c[:, : k.part]
    total: Array = (read * read).sum(axis=1, keepdims=True)
    out: Array = total / x.dtype.type(k.divisor)
    return out


def scale(v: Array, k: Setting) -> tuple[Array, Array]:
    """The scale s = sqrt(v + eps) and ds/dv."""
    s = np.sqrt(v + v.dtype.type(k.eps))
    return s, v.dtype.type(0.5) / s


def scale_eps_outside(v: Array, k: Setting) -> tuple[Array, Array]:
    """The scale s = sqrt(v) + eps and ds/dv; at v = 0 every c is 0, so the slope there multiplies zero."""
    root = np.sqrt(v)
    slope = np.divide(v.dtype.type(0.5), root, out=np.zeros_like(root), where=root != 0)
    return root + v.dtype.type(k.eps), slope


def scale_eps_floor(v: Array, k: Setting) -> tuple[Array, Array]:
    """The scale s = max(sqrt(v), eps / sqrt(m)) and ds/dv: the length of a set, sqrt(m v), is at least eps."""
    return _at_least(v, k.eps / math.sqrt(k.divisor))


def scale_eps_root_floor(v: Array, k: Setting) -> tuple[Array, Array]:
    """The scale s = max(sqrt(v), eps) and ds/dv."""
    return _at_least(v, k.eps)


def _at_least(v: Array, floor: float) -> tuple[Array, Array]:
    root, least = np.sqrt(v), v.dtype.type(floor)
    above = root.real > least.real
    slope = np.divide(v.dtype.type(0.5), root, out=np.zeros_like(root), where=above)
    return np.where(above, root, least), slope


def normalize(c: Array, s: Array, k: Setting) -> Array:
    """The normalized input xh."""
    return c / s


def backward(saved: Saved, g: Array, k: Setting) -> Array:
    """dL/dx from g = dL/dxh, (sets, members), as derived in the docstring of the module."""
    a, b = k.through
    dx = g / saved.s
    if b:
        variance_term = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
        number = saved.x.dtype.type  # a set without members gives an infinity, not an exception
        variance_term = variance_term * (number(2.0) / number(k.divisor))
        if k.part == k.n:
            dx = dx - variance_term * saved.c
        else:
            dx[:, : k.part] -= variance_term * saved.c[:, : k.part]
    if a and k.centered:
        dx = dx - dx.mean(axis=1, keepdims=True)
    return dx


def tangent(saved: Saved, v: Array, k: Setting) -> Array:
    """The derivative of xh along v, (sets, members); for the same (A, B), `backward` is its transpose."""
    a, b = k.through
    moved = v - v.mean(axis=1, keepdims=True) if a and k.centered else v
    out = moved / saved.s
    if b:
        push = (saved.c[:, : k.part] * moved[:, : k.part]).sum(axis=1, keepdims=True) * saved.slope
        out = out - saved.c * push * saved.x.dtype.type(2.0 / k.divisor) / (saved.s * saved.s)
    return out


def affine(xh: Array, weight: Array | None, bias: Array | None) -> Array:
    """The affine map xh w + b; weight and bias broadcast against the input."""
    y = xh if weight is None else xh * weight
    return y if bias is None else y + bias


def affine_offset_one(xh: Array, weight: Array | None, bias: Array | None) -> Array:
    """The affine map xh (1 + w) + b."""
    return affine(xh, None if weight is None else weight + weight.dtype.type(1), bias)


def cotangent(dy: Array, weight: Array | None) -> Array:
    """dL/dxh from dL/dy."""
    return dy if weight is None else dy * weight


def cotangent_offset_one(dy: Array, weight: Array | None) -> Array:
    """dL/dxh from dL/dy where the input is multiplied by 1 + w."""
    return cotangent(dy, None if weight is None else weight + weight.dtype.type(1))


def dweight(dy: Array, xh: Array, x: Array) -> Array:
    """dL/dweight, before the sum over the entries that one weight multiplies."""
    return dy * xh


def dbias(dy: Array) -> Array:
    """dL/dbias, before the sum over the entries to which one bias is added."""
    return dy


def blend(old: Array, new: Array, momentum: float) -> Array:
    """The running statistic after a batch; momentum is the weight of the new batch (torch)."""
    return (1.0 - momentum) * old + momentum * new


def blend_momentum_old(old: Array, new: Array, momentum: float) -> Array:
    """The running statistic after a batch; momentum is the weight of the old statistic (Keras)."""
    return momentum * old + (1.0 - momentum) * new


def working(format: Format) -> type:
    """The number type in which a sound implementation computes: that of the format's `wide`."""
    return np.dtype(format.wide.name).type


@dataclass(frozen=True, slots=True)
class Steps:
    """The kernel as its steps; a convention or a fault replaces some of them."""

    compute: Callable[[Format], type] = working
    center: Callable[[Array, Setting], tuple[Array, Array]] = center
    variance: Callable[[Array, Array, Setting], Array] = variance
    scale: Callable[[Array, Setting], tuple[Array, Array]] = scale
    normalize: Callable[[Array, Array, Setting], Array] = normalize
    backward: Callable[[Saved, Array, Setting], Array] = backward
    affine: Callable[[Array, Array | None, Array | None], Array] = affine
    cotangent: Callable[[Array, Array | None], Array] = cotangent
    dweight: Callable[[Array, Array, Array], Array] = dweight
    dbias: Callable[[Array], Array] = dbias
    blend: Callable[[Array, Array, float], Array] = blend


def exactly(format: Format) -> type:
    """The number type of the reference: float64 for every format."""
    return np.float64


def forward(x: Array, k: Setting, steps: Steps, given: tuple[Array, Array] | None = None) -> Saved:
    """Normalize each set of x, (sets, members); given: mean and variance, (sets, 1), used instead of the sets' own."""
    if given is None:
        mu, c = steps.center(x, k)
        v = steps.variance(c, x, k)
    else:
        mu, v = given
        c = x - mu
    s, slope = steps.scale(v, k) if k.scaled else (np.ones_like(v), np.zeros_like(v))
    return Saved(x, mu, c, v, s, slope, steps.normalize(c, s, k))
