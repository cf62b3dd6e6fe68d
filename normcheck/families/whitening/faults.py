"""Known ways for whitening to be wrong, as data: the reference at work with one part replaced.

Where the source is a construction, nobody's code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.whitening import reference
from normcheck.families.whitening.case import (
    WhiteningAnswer,
    WhiteningCase,
    constant_statistics,
    per_channel,
    true,
    whitened,
)
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import ROOTS, Root, Whitened, flip, symmetric
from normcheck.families.whitening.subject import WhiteningDomain, WhiteningSubject

SLIP = "construction: a slip that the formula invites"
EIGH = "torch.linalg.eigh: the gradient is finite only where eigenvalues are distinct (its documentation)"


def _answer(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    return true(root, case)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteningFault:
    """One known way to be wrong: another root, or another way to answer with it."""

    name: str
    story: str
    source: str = SLIP
    damages: str = "the output, and the gradients through it"
    concerns: Callable[[Whitening], bool] = bool
    root: Callable[[Root], Root] = replace
    answer: Callable[[Root, WhiteningCase], WhiteningAnswer] = _answer


def _of(*roots: str) -> Callable[[Whitening], bool]:
    return lambda entry: entry.root in roots


def _seen(change: Callable[[WhiteningCase], WhiteningCase]) -> Callable[[Root, WhiteningCase], WhiteningAnswer]:
    """The case as the code sees it."""
    return lambda root, case: true(root, change(case))


def _matrix(change: Callable[[Array], Array]) -> Callable[[Root], Root]:
    return lambda root: replace(root, forward=lambda s: change(root.forward(s)))


def _covariance(change: Callable[[Array], Array]) -> Callable[[Root], Root]:
    """The root of another covariance, which the gradient passes as if it were a constant more."""
    return lambda root: Root(lambda s: root.forward(change(s)), lambda s, g: root.backward(change(s), g))


def _diagonal(a: Array) -> Array:
    return np.asarray(a * np.eye(a.shape[-1]))


def _of_each_case(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Layer norm, of a case over its channels."""
    centered = case.x - case.x.mean(1, keepdims=True)
    y = centered / np.sqrt(np.square(centered).mean(1, keepdims=True) + case.eps)
    gain, shift = (per_channel(p, y.shape, d) for p, d in ((case.weight, 1.0), (case.bias, 0.0)))
    return replace(true(root, case), y=y * gain + shift)


def _turned(s: Array) -> Array:
    """L^(-1/2) V^T: axes are those of the eigenvectors."""
    values, vectors = np.linalg.eigh(s)
    return np.asarray(flip(vectors / np.sqrt(values)[..., None, :]))


def _eps_outside(s: Array) -> Array:
    values, vectors = np.linalg.eigh(s)
    return np.asarray((vectors / (np.sqrt(values) + 1e-3)[..., None, :]) @ flip(vectors))


def _by_differences(s: Array, gradient: Array) -> Array:
    """As autograd takes eigh: through eigenvectors, with 1 / (a - b)."""
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


def _steps(count: int) -> Callable[[Root], Root]:
    return lambda _: Root(lambda s: reference.newton(s, count), lambda s, g: reference.newton_backward(s, g, count))


def _trace_missing(s: Array) -> Array:
    """The iterations work on S / t, and their result is not divided by the root of t."""
    total = np.trace(s, axis1=-2, axis2=-1)[..., None, None]
    return np.asarray(reference.newton(s) * np.sqrt(total))


def _joined(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """One group of all channels, in training."""
    if case.groups == 1:
        return true(root, case)
    whole = case.but(groups=1, running_cov=np.eye(case.x.shape[1])[None])
    apart = true(root, case)  # what is stored is right
    return replace(true(root, whole), running_mean=apart.running_mean, running_cov=apart.running_cov)


def _centered_wrongly(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """Channels keep their means: the covariance is right, and what it is applied to is not centered."""
    kept, done = true(root, case), whitened(root, case)
    gain = 1.0 if case.weight is None else case.weight.reshape(1, -1, *[1] * (case.x.ndim - 2))
    added = (done.matrix @ done.mean).reshape(1, -1, *[1] * (case.x.ndim - 2))
    return replace(kept, y=kept.y + gain * added)


def _backward(
    change: Callable[[WhiteningAnswer, WhiteningCase, Whitened], Array],
) -> Callable[[Root, WhiteningCase], WhiteningAnswer]:
    """Another gradient of the input, in training."""

    def answer(root: Root, case: WhiteningCase) -> WhiteningAnswer:
        kept = true(root, case)
        return replace(kept, dx=change(kept, case, whitened(root, case))) if case.training else kept

    return answer


def _constant(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    kept = true(root, case)
    return replace(kept, dx=constant_statistics(root, case)) if case.training else kept


def _mean_constant(kept: WhiteningAnswer, case: WhiteningCase, done: Whitened) -> Array:
    """Without the last subtraction: dx is off by the mean of the direct part."""
    assert kept.dx is not None
    gain = 1.0 if case.weight is None else case.weight.reshape(1, -1, *[1] * (case.x.ndim - 2))
    dy = np.moveaxis(case.dy * gain, 1, 0).reshape(case.groups, -1, done.y.shape[-1])
    mean = (flip(done.matrix) @ dy).mean(-1)
    return np.asarray(kept.dx + mean.reshape(1, -1, *[1] * (case.x.ndim - 2)))


def _running(
    change: Callable[[WhiteningAnswer, WhiteningCase, Whitened], Array],
) -> Callable[[Root, WhiteningCase], WhiteningAnswer]:
    """Another running covariance, in training."""

    def answer(root: Root, case: WhiteningCase) -> WhiteningAnswer:
        kept = true(root, case)
        return replace(kept, running_cov=change(kept, case, whitened(root, case))) if case.training else kept

    return answer


def _old_momentum(case: WhiteningCase) -> WhiteningCase:
    return case.but(momentum=1.0 - case.momentum)


def _always_batch(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    kept = true(root, case.but(training=True))
    return kept if case.training else replace(kept, running_mean=case.running_mean, running_cov=case.running_cov)


def _unbiased(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    """S with members - 1: the same as eps and the output scaled."""
    if not case.training:
        return true(root, case)
    members = case.x.size // case.x.shape[1]
    ratio = members / (members - 1.0)
    bare = case.but(weight=None, bias=None, eps=case.eps / ratio)
    gain = 1.0 if case.weight is None else case.weight.reshape(1, -1, *[1] * (case.x.ndim - 2))
    shift = 0.0 if case.bias is None else case.bias.reshape(1, -1, *[1] * (case.x.ndim - 2))
    inner = true(root, bare.but(dy=case.dy * gain))
    assert inner.dx is not None
    assert inner.dweight is not None
    kept = true(root, case)
    axes = tuple(i for i in range(case.x.ndim) if i != 1)
    return replace(
        kept, y=inner.y / np.sqrt(ratio) * gain + shift, dx=inner.dx / np.sqrt(ratio),
        dweight=(case.dy * inner.y).sum(axes) / np.sqrt(ratio),
    )  # fmt: skip


_BACKWARD = "gradients alone: every output is right"
_STATE = "running statistics in training"

_EVERY = (
    WhiteningFault(
        name="white-diagonal-only",
        story="Divides each channel by its own deviation: batch norm, which leaves channels correlated.",
        root=_covariance(_diagonal),
    ),
    WhiteningFault(
        name="white-mean-kept", story="Multiplies x itself, not x without its mean.", answer=_centered_wrongly
    ),
    WhiteningFault(
        name="white-of-each-case",
        story="Normalizes each case over its channels, as layer norm does.",
        answer=_of_each_case,
    ),
    WhiteningFault(
        name="white-running-in-training",
        story="Whitens by the running statistics in training too.",
        answer=_seen(lambda case: case.but(training=False)),
    ),
    WhiteningFault(
        name="white-eps-missing",
        story="Leaves eps out of the covariance.",
        answer=_seen(lambda case: case.but(eps=case.eps * 2.0**-20)),
    ),
    WhiteningFault(
        name="white-eps-fixed",
        story="Has an eps of its own, whatever is given.",
        answer=_seen(lambda case: case.but(eps=1e-5)),
    ),
    WhiteningFault(name="white-unbiased", story="Divides the covariance by members - 1.", answer=_unbiased),
    WhiteningFault(
        name="white-groups-joined", story="Whitens all channels together, whatever the groups.", answer=_joined
    ),
    WhiteningFault(
        name="white-axes-of-eigenvectors",
        story="Does not turn back: channels become eigenvectors, which swap from batch to batch.",
        source="Huang et al. 2018, section 3.1: stochastic axis swapping of PCA whitening",
        concerns=_of("zca"),
        root=lambda root: replace(root, forward=_turned),
    ),
    WhiteningFault(
        name="white-eps-outside-root",
        story="Adds a constant to roots of eigenvalues instead of eps to eigenvalues alone.",
        concerns=_of("zca"),
        root=lambda root: replace(root, forward=_eps_outside),
    ),
    WhiteningFault(
        name="white-backward-by-differences",
        story="Drops pairs of close eigenvalues from the backward, where a - b would be divided by.",
        source=EIGH,
        damages=_BACKWARD,
        concerns=_of("zca"),
        root=lambda root: replace(root, backward=_by_differences),
    ),
    WhiteningFault(
        name="white-backward-eigenvectors-constant",
        story="Lets the gradient pass through eigenvalues alone.",
        damages=_BACKWARD,
        concerns=_of("zca"),
        root=lambda root: replace(root, backward=_diagonal_backward),
    ),
    WhiteningFault(
        name="white-factor-transposed",
        story="Multiplies by the transposed inverse factor: an upper triangle, which does not whiten.",
        concerns=_of("cholesky"),
        root=_matrix(flip),
    ),
    WhiteningFault(
        name="white-root-for-factor",
        story="Takes S^(-1/2), which whitens too, and lets every channel read all others.",
        concerns=_of("cholesky"),
        root=lambda _: ROOTS["zca"],
    ),
    WhiteningFault(
        name="white-backward-diagonal-whole",
        story="Does not halve the diagonal in the backward of the factor.",
        damages=_BACKWARD,
        concerns=_of("cholesky"),
        root=lambda root: replace(root, backward=_whole_triangle),
    ),
    WhiteningFault(
        name="white-four-steps",
        story="Stops after four iterations: the first one is counted that only sets P to I.",
        concerns=_of("newton"),
        root=_steps(4),
    ),
    WhiteningFault(
        name="white-trace-not-given-back",
        story="Divides S by its trace and does not divide the result by the trace's root.",
        concerns=_of("newton"),
        root=lambda root: replace(root, forward=_trace_missing),
    ),
    WhiteningFault(
        name="white-converged",
        story="Iterates until S^(-1/2) is reached: another function where variances are far apart.",
        concerns=_of("newton"),
        root=lambda _: ROOTS["zca"],
    ),
    WhiteningFault(
        name="white-statistics-constant",
        story="Lets no gradient pass through mean and covariance.",
        damages=_BACKWARD,
        answer=_constant,
    ),
    WhiteningFault(
        name="white-backward-mean-missing",
        story="Lets no gradient pass through the mean.",
        damages=_BACKWARD,
        answer=_backward(_mean_constant),
    ),
    WhiteningFault(
        name="white-momentum-old",
        story="Momentum is the weight of the old statistics.",
        damages=_STATE,
        answer=_seen(_old_momentum),
    ),
    WhiteningFault(
        name="white-running-with-eps",
        story="Stores the covariance with eps, which evaluation adds once more.",
        damages=_STATE,
        answer=_running(lambda kept, case, done: case.running_cov + case.momentum * (done.damped - case.running_cov)),
    ),
    WhiteningFault(
        name="white-batch-in-evaluation",
        story="Whitens by the batch in evaluation too.",
        damages="evaluation with running statistics",
        answer=_always_batch,
    ),
)

ALL = {fault.name: fault for fault in _EVERY}
"""Every fault of the family, by name."""


def _rounded(answer: WhiteningAnswer, case: WhiteningCase) -> WhiteningAnswer:
    there = {n: a for n in WhiteningAnswer.__slots__ if (a := getattr(answer, n)) is not None}
    return replace(answer, **{n: case.format.round(a) for n, a in there.items()})


def faulty(entry: Whitening, fault: WhiteningFault | None, promised: Contract) -> WhiteningSubject:
    """The reference as a subject, rounded to the case's format, with a fault or without."""
    root = ROOTS[entry.root]

    def call(case: WhiteningCase, gradient: bool) -> WhiteningAnswer:
        found = true(root, case) if fault is None else fault.answer(fault.root(root), case)
        if not case.training:
            found = replace(found, running_mean=case.running_mean, running_cov=case.running_cov)
        return _rounded(found, case)

    name = "reference" if fault is None else fault.name
    return WhiteningSubject(name, entry, promised, WhiteningDomain(), call)
