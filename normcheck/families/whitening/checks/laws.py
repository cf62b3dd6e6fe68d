"""Laws of whitening that need no closed form of the output: eigenvalues, rotations, groups, scale and shift."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.result import Comparison
from normcheck.families.whitening import bounds
from normcheck.families.whitening.case import WhiteningCase, beside, fold, unfold
from normcheck.families.whitening.checks.values import ZCA, errors, needs_gradient, same
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import flip, symmetric, whitened
from normcheck.families.whitening.space import WhiteningSpace
from normcheck.families.whitening.subject import WhiteningSubject


def ask_variance(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Eigenvalues of cov(y) are l / (l + eps), whichever exact root of the covariance is taken."""
    bare = case.but(weight=None, bias=None) if case.weight is None else case.but(
        weight=np.ones_like(case.weight), bias=np.zeros_like(case.weight))  # fmt: skip
    root, off = subject.entry.root, errors(subject, bare)
    y = fold(subject.call(bare, False).y, case.groups)
    least = np.linalg.eigvalsh(whitened(root, bare).covariance)
    centered = y - y.mean(-1, keepdims=True)
    product = centered @ flip(centered) / y.shape[-1]
    finite = np.isfinite(product).all()  # eigvalsh raises on NaN
    got = np.linalg.eigvalsh(product) if finite else np.full(least.shape, np.nan)
    law = "the eigenvalues of cov(y) are l / (l + eps)"
    limit = subject.contract.bound_multiplier * bounds.eigenvalues(root, bare, off)
    return differ(law, got, least / (least + case.eps), limit, off.resolved[:, None])


def ask_rotation(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """y(Q x) = Q y(x): tested with d Q, which is a matrix of integers, and eps times d^2."""
    bare = case.but(weight=None, bias=None)
    size = case.x.shape[1] // case.groups
    turn = size * np.eye(size) - 2.0
    turned = bare.but(x=unfold(turn @ fold(case.x, case.groups), case.x.shape), eps=case.eps * size**2)
    one, other = subject.call(bare, False).y, subject.call(turned, False).y
    expected = unfold(turn / size @ fold(one, case.groups), case.x.shape)
    off = bounds.turned(errors(subject, turned), errors(subject, bare), size)
    return same(subject, turned, "y(Q x) = Q y(x), Q orthogonal within a group", other, expected, off)


def ask_turning_gradient(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """The derivative of y(Q x) = Q y(x) along turns: dx x^T - dy y^T is symmetric in each group."""
    bare = case.but(weight=None, bias=None)
    got = subject.call(bare, True)
    if got.dx is None:
        raise CallError(f"{subject.name} returned an output that does not require grad")
    x, dy, y, dx = (fold(a, case.groups) for a in (case.x, case.dy, got.y, got.dx))
    one, other = dx @ flip(x), dy @ flip(y)
    skew = one - other - symmetric(one - other)
    off = errors(subject, bare)
    law = "dx x^T - dy y^T is symmetric: the output turns as the input does"
    limit = subject.contract.bound_multiplier * bounds.skew(case, got, off)
    return differ(law, skew, np.zeros_like(skew), limit, off.resolved[:, None, None])


def ask_triangle(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Another last channel of a group leaves the outputs of those before it as they are."""
    size = case.x.shape[1] // case.groups
    last = np.zeros((1, case.x.shape[1], *[1] * (case.x.ndim - 2)))
    last[:, size - 1 :: size] = 1.0
    moved = case.but(x=case.x + last * case.x[::-1])
    one, other = subject.call(case, False).y, subject.call(moved, False).y
    off = errors(subject, moved)
    worse = np.maximum(errors(subject, case).y, off.y)
    kept = (last == 0) & np.broadcast_to(off.visible(case), last.shape)
    law = "a channel does not read those after it"
    limit = subject.contract.bound_multiplier * bounds.difference(worse, worse)
    return differ(law, other, one, limit, np.broadcast_to(kept, one.shape))


def ask_groups(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Another first group leaves the second one's outputs as they are."""
    half = case.x.shape[1] // 2
    x = case.x.copy()
    x[:, :half] = 2.0 * x[::-1, :half] + x[:, half:]
    one, other = subject.call(case, False).y, subject.call(case.but(x=x), False).y
    law = "a group does not read another"
    off = errors(subject, case)
    mask = np.broadcast_to(off.visible(case), case.x.shape)[:, half:]
    limit = subject.contract.bound_multiplier * bounds.difference(off.y, off.y)[:, half:]
    return differ(law, other[:, half:], one[:, half:], limit, mask)


def ask_scale(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """y(d x; d^2 eps) = y(x; eps), for d a power of two."""
    scaled = case.but(x=4.0 * case.x, eps=16.0 * case.eps)
    one, other = subject.call(case, False).y, subject.call(scaled, False).y
    off = errors(subject, case).y
    return same(subject, case, "y(d x; d^2 eps) = y(x; eps)", other, one, bounds.difference(off, off))


def ask_shift(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """A constant added to each channel changes nothing."""
    moved = case.but(x=case.x + beside(np.arange(1.0, 1.0 + case.x.shape[1]), case.x.ndim))
    one, other = subject.call(case, False).y, subject.call(moved, False).y
    off = bounds.difference(errors(subject, case).y, errors(subject, moved).y)
    return same(subject, moved, "y(x + a) = y(x), one a for each channel", other, one, off)


def needs_groups(subject: WhiteningSubject) -> str:
    """Why groups cannot be checked; empty if they can."""
    return "" if subject.domain.groups else f"takes no groups: {subject.domain.absent.get('groups', '')}"


def needs_eps(subject: WhiteningSubject) -> str:
    """Why laws that change eps cannot be checked; empty if they can."""
    return "" if subject.contract.eps is None else "its eps cannot be changed"


def _rotates(entry: Whitening) -> bool:
    return entry.rotates


def _exact(entry: Whitening) -> bool:
    return entry.root.exact


def _triangular(entry: Whitening) -> bool:
    return entry.triangular


_PLAIN = WhiteningSpace(affine=(False,))

CHECKS = (
    Check("white-variance", "the eigenvalues of cov(y) are l / (l + eps)", ZCA, ask_variance, _PLAIN, concerns=_exact),
    Check(
        "white-rotation",
        "y(Q x) = Q y(x)",
        f"{ZCA}, section 3.1",
        ask_rotation,
        _PLAIN,
        concerns=_rotates,
        lacks=needs_eps,
    ),
    Check(
        "white-turning-gradient",
        "dx x^T - dy y^T is symmetric",
        "derivative of y(Q x) = Q y(x)",
        ask_turning_gradient,
        _PLAIN,
        concerns=_rotates,
        lacks=needs_gradient,
    ),
    Check(
        "white-triangle",
        "a channel does not read those after it",
        "Siarohin et al. 2019",
        ask_triangle,
        _PLAIN,
        concerns=_triangular,
    ),
    Check(
        "white-groups",
        "a group does not read another",
        f"{ZCA}, section 3.3",
        ask_groups,
        WhiteningSpace(groups=(2,), spectrum=("plain", "offset")),
        lacks=needs_groups,
    ),
    Check(
        "white-scale", "y(d x; d^2 eps) = y(x; eps)", "as for batch norm", ask_scale, WhiteningSpace(), lacks=needs_eps
    ),
    Check("white-shift", "y(x + a) = y(x)", "as for batch norm", ask_shift, WhiteningSpace()),
)
