"""Whitening in float64: matrices that decorrelate channels, with their derivatives by hand.

x is (groups, channels, members): members are cases and positions together, and every group is whitened by itself.

    c = x - mean(x),  S = c c^T / members + eps I,  y = R c,  with R one of
    ZCA        R = S^(-1/2)                                   (Huang et al. 2018, Decorrelated Batch Normalization)
    Cholesky   R = L^(-1), S = L L^T                          (Siarohin et al. 2019)
    IterNorm   R = P_5 / sqrt(t), t = tr S, P_0 = I, P_k = (3 P - P^3 S / t) / 2    (Huang et al. 2019)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase, channel_axes, fold, per_channel, unfold

STEPS = 5
"""Iterations of IterNorm, as in the paper's experiments."""


def flip(a: Array) -> Array:
    """The transpose over the last two axes."""
    return np.swapaxes(a, -1, -2)


def symmetric(a: Array) -> Array:
    """The symmetric part."""
    return np.asarray(0.5 * (a + flip(a)))


@dataclass(frozen=True, slots=True)
class Root:
    """The matrix R of a covariance S, (groups, channels, channels), and the gradient of S from that of R."""

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]  # (covariance, gradient of the matrix); the result is symmetric
    steps: int = 0  # iterations by which the root is approximated; 0: it is exact

    @property
    def exact(self) -> bool:
        """Whether R S R^T = I, so that the eigenvalues of cov(y) are l / (l + eps)."""
        return self.steps == 0


def zca(covariance: Array) -> Array:
    """S^(-1/2)."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)[..., None, :]) @ flip(vectors))


def zca_backward(covariance: Array, gradient: Array) -> Array:
    """By divided differences of a^(-1/2), which stay finite where eigenvalues are equal (Daleckii and Krein 1965).

    (a^(-1/2) - b^(-1/2)) / (a - b) = -1 / (sqrt(a b) (sqrt(a) + sqrt(b)))
    """
    values, vectors = np.linalg.eigh(covariance)
    one, other = np.sqrt(values)[..., :, None], np.sqrt(values)[..., None, :]
    divided = -1.0 / (one * other * (one + other))
    return np.asarray(vectors @ (divided * (flip(vectors) @ symmetric(gradient) @ vectors)) @ flip(vectors))


def cholesky(covariance: Array) -> Array:
    """The inverse of the lower Cholesky factor."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))


def cholesky_backward(covariance: Array, gradient: Array) -> Array:
    """Through the inverse, then the factor (Murray 2016, eq. 10): S' = sym(L^-T tril(L^T L', diagonal / 2) L^-1)."""
    factor = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(factor)
    by_factor = -flip(inverse) @ gradient @ flip(inverse)
    lower = np.tril(flip(factor) @ np.tril(by_factor))
    half = lower - 0.5 * lower * np.eye(lower.shape[-1])
    return symmetric(flip(inverse) @ half @ inverse)


def _trace(a: Array) -> Array:
    out: Array = np.trace(a, axis1=-2, axis2=-1)[..., None, None]
    return out


def iterates(scaled: Array, steps: int) -> list[Array]:
    """P_0 to P_steps."""
    out = [np.broadcast_to(np.eye(scaled.shape[-1]), scaled.shape)]
    for _ in range(steps):
        p = out[-1]
        out.append(0.5 * (3.0 * p - p @ p @ p @ scaled))
    return out


def newton(covariance: Array, steps: int) -> Array:
    """P_steps / sqrt(trace)."""
    total = _trace(covariance)
    return np.asarray(iterates(covariance / total, steps)[-1] / np.sqrt(total))


def newton_backward(covariance: Array, gradient: Array, steps: int) -> Array:
    """Backward through the iterations, without assuming that P and S commute.

    1. A = P^3 Z, Z = S / t: A' = -P_k' / 2;  Z' += P^3^T A'
    2. P' = 3 P_k' / 2 + A' (P P Z)^T + P^T A' (P Z)^T + (P P)^T A' Z^T
    3. t' = -<R', P> t^(-3/2) / 2 - <Z', S> / t^2, and S' = Z' / t + t' I
    """
    total = _trace(covariance)
    scaled = covariance / total
    walked = iterates(scaled, steps)
    up = gradient / np.sqrt(total)
    z = np.zeros_like(scaled)
    for p in reversed(walked[:-1]):
        a = -0.5 * up
        z = z + flip(p @ p @ p) @ a
        up = 1.5 * up + a @ flip(p @ p @ scaled) + flip(p) @ a @ flip(p @ scaled) + flip(p @ p) @ a @ flip(scaled)
    inner = (gradient * walked[-1]).sum(axis=(-2, -1), keepdims=True)
    t = -0.5 * inner * total**-1.5 - (z * covariance).sum(axis=(-2, -1), keepdims=True) / total**2
    return symmetric(z / total + t * np.eye(scaled.shape[-1]))


def iterated(steps: int) -> Root:
    """The root of IterNorm with a number of iterations."""
    return Root(partial(newton, steps=steps), partial(newton_backward, steps=steps), steps)


ZCA, CHOLESKY, NEWTON = Root(zca, zca_backward), Root(cholesky, cholesky_backward), iterated(STEPS)


@dataclass(frozen=True, slots=True)
class Whitened:
    """y and what it was computed from; the first axis of each array is that of the groups."""

    y: Array
    centered: Array
    mean: Array  # (groups, channels, 1)
    covariance: Array  # without eps
    damped: Array  # with eps
    matrix: Array


def forward(root: Root, x: Array, eps: float) -> Whitened:
    """Whiten x, (groups, channels, members), with the statistics of the batch."""
    mean = x.mean(axis=-1, keepdims=True)
    centered = x - mean
    covariance = centered @ flip(centered) / x.shape[-1]
    return given(root, x, mean, covariance, eps)


def given(root: Root, x: Array, mean: Array, covariance: Array, eps: float) -> Whitened:
    """Whiten x with the given mean, (groups, channels, 1), and covariance, without eps."""
    centered, damped = x - mean, covariance + eps * np.eye(x.shape[-2])
    matrix = root.forward(damped)
    return Whitened(matrix @ centered, centered, mean, covariance, damped, matrix)


def backward(root: Root, done: Whitened, dy: Array, *, constant: bool = False) -> Array:
    """Gradient of x. constant: the statistics do not depend on x.

    1. c' = R^T y', and R' = y' c^T
    2. S' from R', and c' += 2 S' c / members
    3. x' = c' - mean(c')
    """
    direct = flip(done.matrix) @ dy
    if constant:
        return np.asarray(direct)
    by_covariance = root.backward(done.damped, dy @ flip(done.centered))
    inner = direct + 2.0 * by_covariance @ done.centered / dy.shape[-1]
    return np.asarray(inner - inner.mean(axis=-1, keepdims=True))


def whitened(root: Root, case: WhiteningCase) -> Whitened:
    """The case before weight and bias: with the statistics of the batch in training, else with the running ones."""
    x = fold(case.x, case.groups)
    if case.training:
        return forward(root, x, case.eps)
    return given(root, x, case.running_mean.reshape(case.groups, -1, 1), case.running_cov, case.eps)


def answer(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Output, gradients and running statistics of a case by the closed forms."""
    shape, done = case.x.shape, whitened(root, case)
    gain, shift = per_channel(case.weight, shape, 1.0), per_channel(case.bias, shape, 0.0)
    xh = unfold(done.y, shape)
    dx = unfold(backward(root, done, fold(case.dy * gain, case.groups), constant=not case.training), shape)
    axes = channel_axes(len(shape))
    mean, cov = case.running_mean, case.running_cov
    if case.training:
        mean = mean + case.momentum * (done.mean.reshape(-1) - mean)
        cov = cov + case.momentum * (done.covariance - cov)
    return WhiteningAnswer(xh * gain + shift, dx, (case.dy * xh).sum(axes), case.dy.sum(axes), mean, cov)


def constant_statistics(root: Root, case: WhiteningCase) -> Array:
    """The gradient of x that treats the statistics of the batch as constants, of the shape of x."""
    shape = case.x.shape
    dy = fold(case.dy * per_channel(case.weight, shape, 1.0), case.groups)
    return unfold(backward(root, whitened(root, case), dy, constant=True), shape)
