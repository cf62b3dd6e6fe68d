"""Faults of the matrix that whitens, and of its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.whitening import reference
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.faults.base import BACKWARD, WhiteningFault, with_root
from normcheck.families.whitening.reference import CHOLESKY, NEWTON, STEPS, ZCA, Root, answer, flip, iterated, symmetric

EIGH = "torch.linalg.eigh: the gradient is finite only where eigenvalues are distinct (its documentation)"


def _matrix(change: Callable[[Array], Array]) -> Callable[[Root], Root]:
    """The matrix changed; its gradient stays."""
    return lambda root: replace(root, forward=lambda s: change(root.forward(s)))


def _covariance(change: Callable[[Array], Array]) -> Callable[[Root], Root]:
    """The matrix of a changed covariance; the gradient treats the change as if it were none."""
    return lambda root: Root(lambda s: root.forward(change(s)), lambda s, g: root.backward(change(s), g))


def _diagonal(a: Array) -> Array:
    return np.asarray(a * np.eye(a.shape[-1]))


def _turned(s: Array) -> Array:
    """L^(-1/2) V^T: axes are those of the eigenvectors."""
    values, vectors = np.linalg.eigh(s)
    return np.asarray(flip(vectors / np.sqrt(values)[..., None, :]))


def _eps_outside(_root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """(sqrt(S) + eps I)^-1, and its gradient by divided differences."""
    eps = case.eps

    def parts(s: Array) -> tuple[Array, Array]:
        values, vectors = np.linalg.eigh(s - eps * np.eye(s.shape[-1]))
        return np.sqrt(np.maximum(values, 0.0)), vectors

    def forward(s: Array) -> Array:
        roots, vectors = parts(s)
        return np.asarray((vectors / (roots + eps)[..., None, :]) @ flip(vectors))

    def backward(s: Array, gradient: Array) -> Array:
        roots, vectors = parts(s)
        one, other = roots[..., :, None], roots[..., None, :]
        with np.errstate(all="ignore"):
            divided = -1.0 / ((one + other) * (one + eps) * (other + eps))
        return np.asarray(vectors @ (divided * (flip(vectors) @ symmetric(gradient) @ vectors)) @ flip(vectors))

    return answer(Root(forward, backward), case)


def _shrunk(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """The root of (1 - eps) S + eps I."""

    def less(s: Array) -> Array:
        eye = np.eye(s.shape[-1])
        return np.asarray((1.0 - case.eps) * (s - case.eps * eye) + case.eps * eye)

    def backward(s: Array, gradient: Array) -> Array:
        return (1.0 - case.eps) * root.backward(less(s), gradient)

    return answer(Root(lambda s: root.forward(less(s)), backward, root.steps), case)


def _by_differences(s: Array, gradient: Array) -> Array:
    """As autograd differentiates eigh: through eigenvectors, with 1 / (a - b)."""
    values, vectors = np.linalg.eigh(s)
    inner = flip(vectors) @ symmetric(gradient) @ vectors
    roots = values**-0.5
    with np.errstate(all="ignore"):
        inverse = 1.0 / (values[..., None, :] - values[..., :, None])
        between = (roots[..., None, :] - roots[..., :, None]) * inverse
    own = np.eye(s.shape[-1], dtype=bool)
    between = np.where(own, -0.5 * values[..., None, :] ** -1.5, between)
    close = np.abs(values[..., None, :] - values[..., :, None]) < 1e-6 * values.max()
    return np.asarray(vectors @ (np.where(close & ~own, 0.0, between) * inner) @ flip(vectors))


def _diagonal_backward(s: Array, gradient: Array) -> Array:
    values, vectors = np.linalg.eigh(s)
    inner = np.diagonal(flip(vectors) @ gradient @ vectors, axis1=-2, axis2=-1)
    return np.asarray((vectors * (-0.5 * values**-1.5 * inner)[..., None, :]) @ flip(vectors))


def _whole_triangle(s: Array, gradient: Array) -> Array:
    """The diagonal of the triangle is not halved."""
    factor = np.linalg.cholesky(s)
    inverse = np.linalg.inv(factor)
    lower = np.tril(flip(factor) @ np.tril(-flip(inverse) @ gradient @ flip(inverse)))
    return symmetric(flip(inverse) @ lower @ inverse)


def _trace_missing(s: Array) -> Array:
    """The iterations work on S / t, and their result is not divided by the root of t."""
    total = np.trace(s, axis1=-2, axis2=-1)[..., None, None]
    return np.asarray(reference.newton(s, STEPS) * np.sqrt(total))


DIAGONAL = WhiteningFault(
    name="white-diagonal-only",
    story="Divides each channel by its own deviation: batch norm, which leaves channels correlated.",
    root=_covariance(_diagonal),
)

ALL = (
    WhiteningFault(
        name="white-axes-of-eigenvectors",
        story="Does not turn back: channels become eigenvectors, which swap from batch to batch.",
        source="Huang et al. 2018, section 3.1: stochastic axis swapping of PCA whitening",
        concerns=with_root(ZCA),
        root=lambda root: replace(root, forward=_turned),
    ),
    WhiteningFault(
        name="white-eps-outside-root",
        story="Adds eps to roots of eigenvalues instead of to eigenvalues.",
        concerns=with_root(ZCA),
        answer=_eps_outside,
    ),
    WhiteningFault(
        name="white-shrunk",
        story="Takes (1 - eps) S + eps I: the covariance is shrunk by the share that is added.",
        source="Ledoit and Wolf 2004, the shrinkage of an estimate of the covariance",
        answer=_shrunk,
    ),
    WhiteningFault(
        name="white-backward-by-differences",
        story="Drops pairs of close eigenvalues from the backward, where a - b would be divided by.",
        source=EIGH,
        damages=BACKWARD,
        concerns=with_root(ZCA),
        root=lambda root: replace(root, backward=_by_differences),
    ),
    WhiteningFault(
        name="white-backward-eigenvectors-constant",
        story="Lets the gradient pass through eigenvalues alone.",
        damages=BACKWARD,
        concerns=with_root(ZCA),
        root=lambda root: replace(root, backward=_diagonal_backward),
    ),
    WhiteningFault(
        name="white-factor-transposed",
        story="Multiplies by the transposed inverse factor: an upper triangle, which does not whiten.",
        concerns=with_root(CHOLESKY),
        root=_matrix(flip),
    ),
    WhiteningFault(
        name="white-root-for-factor",
        story="Takes S^(-1/2), which whitens too, and lets every channel read all others.",
        concerns=with_root(CHOLESKY),
        root=lambda _: ZCA,
    ),
    WhiteningFault(
        name="white-backward-diagonal-whole",
        story="Does not halve the diagonal in the backward of the factor.",
        damages=BACKWARD,
        concerns=with_root(CHOLESKY),
        root=lambda root: replace(root, backward=_whole_triangle),
    ),
    WhiteningFault(
        name="white-four-steps",
        story="Stops after four iterations: the first one is counted that only sets P to I.",
        concerns=with_root(NEWTON),
        root=lambda _: iterated(STEPS - 1),
    ),
    WhiteningFault(
        name="white-trace-not-given-back",
        story="Divides S by its trace and does not divide the result by the trace's root.",
        concerns=with_root(NEWTON),
        root=lambda root: replace(root, forward=_trace_missing),
    ),
    WhiteningFault(
        name="white-converged",
        story="Iterates until S^(-1/2) is reached: another function where variances are far apart.",
        concerns=with_root(NEWTON),
        root=lambda _: ZCA,
    ),
)
