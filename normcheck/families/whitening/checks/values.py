"""What a whitening layer must do: its closed form, the laws of its matrix, its derivative where eigenvalues meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.whitening.case import (
    Allowed,
    WhiteningAnswer,
    WhiteningCase,
    allowed,
    constant_statistics,
    fold,
    true,
    unfold,
    whitened,
)
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import ROOTS, STEPS, flip, symmetric
from normcheck.families.whitening.space import WhiteningSpace
from normcheck.families.whitening.subject import WhiteningSubject

ZCA, ITER = "Huang et al. 2018, Decorrelated Batch Normalization", "Huang et al. 2019, Iterative Normalization"


def errors(subject: WhiteningSubject, case: WhiteningCase) -> Allowed:
    """What a right answer may be off by."""
    # P_5 <= 1.5^5: an eigenvalue below this share of the trace is not seen
    floor = 1.5 ** (-2 * STEPS) if subject.entry.root == "newton" else 0.0
    return allowed(ROOTS[subject.entry.root], case, floor)


def visible(found: Allowed, case: WhiteningCase) -> Array:
    """Channels whose group is conditioned well enough to be compared, (1, channels, 1, ...)."""
    wide = np.repeat(found.resolved, case.x.shape[1] // case.groups)
    return wide.reshape(1, -1, *[1] * (case.x.ndim - 2))


def _same(
    subject: WhiteningSubject,
    case: WhiteningCase,
    law: str,
    got: Array | None,
    expected: Array,
    off: Array,
    times: float = 1.0,
) -> Comparison:
    """An array of the input's shape against its bound."""
    got = np.full(expected.shape, np.nan) if got is None else got
    mask = np.broadcast_to(visible(errors(subject, case), case), expected.shape)
    return differ(law, got, expected, subject.contract.bound_multiplier * times * off, mask)


def _output(subject: WhiteningSubject, case: WhiteningCase, law: str) -> Comparison:
    expected = true(ROOTS[subject.entry.root], case)
    return _same(subject, case, law, subject.call(case, False).y, expected.y, errors(subject, case).y)


def _gradients(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    expected, off = true(ROOTS[subject.entry.root], case), errors(subject, case)
    got = subject.call(case, True)
    out = [_same(subject, case, "dx", got.dx, expected.dx if expected.dx is not None else got.y, off.dx)]
    seen, multiplier = visible(off, case).reshape(-1), subject.contract.bound_multiplier
    for name, there in (("dweight", case.weight), ("dbias", case.bias)):
        value = getattr(got, name)
        if there is not None:
            value = np.full(there.shape, np.nan) if value is None else value
            out.append(differ(name, value, getattr(expected, name), multiplier * getattr(off, name), seen))
    return worst(*out)


def ask_output(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    return _output(subject, case, f"y = w ({subject.entry.formula.partition(',')[0].partition('= ')[2]}) + b")


def ask_gradient(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Gradients of input, weight and bias against the closed forms; of the input, which of two it fits."""
    constant = constant_statistics(ROOTS[subject.entry.root], case)
    dx, off = subject.call(case, True).dx, errors(subject, case).dx
    full, found = true(ROOTS[subject.entry.root], case).dx, _gradients(subject, case)
    assert full is not None
    metrics = {
        f"gradient/{mode}": _same(subject, case, mode, dx, expected, off).bound_ratio
        for mode, expected in (("full", full), ("statistics-constant", constant))
    }
    return replace(found, metrics=metrics)


def ask_variance(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Eigenvalues of cov(y) are l / (l + eps), whichever exact root of the covariance is taken."""
    bare = case.but(weight=None, bias=None) if case.weight is None else case.but(
        weight=np.ones_like(case.weight), bias=np.zeros_like(case.weight))  # fmt: skip
    found = errors(subject, bare)
    y = fold(subject.call(bare, False).y, case.groups)
    off = fold(found.y, case.groups)
    # |cov(y) - cov(y')| <= 2 |y| |y - y'| + the mean's own error, and eigenvalues move by no more (Weyl)
    size = np.linalg.norm(fold(true(ROOTS[subject.entry.root], bare).y, case.groups), axis=1).max(-1)
    limit = (2.0 * size * np.sqrt(y.shape[1]) * off.max((1, 2)))[:, None] + np.zeros((1, y.shape[1]))
    done = whitened(ROOTS[subject.entry.root], bare)
    least = np.linalg.eigvalsh(done.covariance)
    centered = y - y.mean(-1, keepdims=True)
    product = centered @ flip(centered) / y.shape[-1]
    there = np.isfinite(product).all()  # eigvalsh raises on NaN
    got = np.linalg.eigvalsh(product) if there else np.full(least.shape, np.nan)
    law = "the eigenvalues of cov(y) are l / (l + eps)"
    return differ(
        law, got, least / (least + case.eps), subject.contract.bound_multiplier * limit, found.resolved[:, None]
    )


def ask_rotation(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """y(Q x) = Q y(x): asked with d Q, which is a matrix of integers, and eps times d^2."""
    bare = case.but(weight=None, bias=None)
    size = case.x.shape[1] // case.groups
    turn = size * np.eye(size) - 2.0
    turned = bare.but(x=unfold(turn @ fold(case.x, case.groups), case.x.shape), eps=case.eps * size**2)
    one, other = subject.call(bare, False).y, subject.call(turned, False).y
    expected = unfold(turn / size @ fold(one, case.groups), case.x.shape)
    off = errors(subject, turned).y + errors(subject, bare).y.max() * np.sqrt(size)
    return _same(subject, turned, "y(Q x) = Q y(x), Q orthogonal within a group", other, expected, off)


def ask_turning_gradient(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """The derivative of y(Q x) = Q y(x) along turns: dx x^T - dy y^T is symmetric in each group."""
    bare = case.but(weight=None, bias=None)
    got = subject.call(bare, True)
    if got.dx is None:
        raise CallError(f"{subject.name} returned an output that does not require grad")
    x, dy, y, dx = (fold(a, case.groups) for a in (case.x, case.dy, got.y, got.dx))
    one, other = dx @ flip(x), dy @ flip(y)
    skew = one - other - symmetric(one - other)
    found = errors(subject, bare)
    off_x, off_y = fold(found.dx, case.groups), fold(found.y, case.groups)
    u, size = case.format.u, np.where(np.isfinite(dx), np.abs(dx), 0.0)
    limit = (off_x + u * size) @ flip(np.abs(x)) + np.abs(dy) @ flip(off_y + u * np.abs(y))
    law = "dx x^T - dy y^T is symmetric: the output turns as the input does"
    return differ(law, skew, np.zeros_like(skew), subject.contract.bound_multiplier * (limit + flip(limit)),
                  found.resolved[:, None, None])  # fmt: skip


def ask_triangle(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Another last channel of a group leaves the outputs of those before it as they are."""
    size = case.x.shape[1] // case.groups
    last = np.zeros((1, case.x.shape[1], *[1] * (case.x.ndim - 2)))
    last[:, size - 1 :: size] = 1.0
    moved = case.but(x=case.x + last * case.x[::-1])
    one, other = subject.call(case, False).y, subject.call(moved, False).y
    worse = np.maximum(errors(subject, case).y, errors(subject, moved).y)
    kept = (last == 0) & np.broadcast_to(visible(errors(subject, moved), case), last.shape)
    law = "a channel does not read those after it"
    return differ(law, other, one, subject.contract.bound_multiplier * 2.0 * worse, np.broadcast_to(kept, one.shape))


def ask_groups(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Another first group leaves the second one's outputs as they are."""
    half = case.x.shape[1] // 2
    x = case.x.copy()
    x[:, :half] = 2.0 * x[::-1, :half] + x[:, half:]
    one, other = subject.call(case, False).y, subject.call(case.but(x=x), False).y
    law = "a group does not read another"
    off = errors(subject, case)
    mask = np.broadcast_to(visible(off, case), case.x.shape)[:, half:]
    return differ(law, other[:, half:], one[:, half:], subject.contract.bound_multiplier * 2.0 * off.y[:, half:], mask)


def ask_scale(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """y(d x; d^2 eps) = y(x; eps), and its gradient is divided by d."""
    scaled = case.but(x=4.0 * case.x, eps=16.0 * case.eps)
    one, other = subject.call(case, False).y, subject.call(scaled, False).y
    return _same(subject, case, "y(d x; d^2 eps) = y(x; eps)", other, one, errors(subject, case).y, 2.0)


def ask_shift(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """A constant added to each channel changes nothing."""
    shift = np.arange(1.0, 1.0 + case.x.shape[1]).reshape(1, -1, *[1] * (case.x.ndim - 2))
    moved = case.but(x=case.x + shift)
    one, other = subject.call(case, False).y, subject.call(moved, False).y
    off = errors(subject, case).y + errors(subject, moved).y
    return _same(subject, moved, "y(x + a) = y(x), one a for each channel", other, one, off)


def ask_running(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Running mean and covariance after a call in training."""
    expected, off, got = true(ROOTS[subject.entry.root], case), errors(subject, case), subject.call(case, False)
    multiplier = subject.contract.bound_multiplier
    return worst(*(
        differ(f"{name} = (1 - momentum) {name} + momentum of the batch", _there(got, name), getattr(expected, name),
               multiplier * getattr(off, name))
        for name in ("running_mean", "running_cov")
    ))  # fmt: skip


def _there(got: WhiteningAnswer, name: str) -> Array:
    value = getattr(got, name)
    return np.array(np.nan) if value is None else value


def ask_evaluation(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """With given statistics: the output, the gradient through a constant matrix, statistics left alone."""
    got, law = subject.call(case, False), "evaluation leaves running statistics as they are"
    kept = [differ(law, _there(got, n), getattr(case, n), np.zeros(())) for n in ("running_mean", "running_cov")]
    out = _output(subject, case, "y in evaluation, by running_mean and running_cov")
    return worst(out, *kept, *([_gradients(subject, case)] if subject.domain.gradient else []))


def needs_gradient(subject: WhiteningSubject) -> str:
    return "" if subject.domain.gradient else f"no gradient: {subject.domain.absent.get('gradient', '')}"


def needs_groups(subject: WhiteningSubject) -> str:
    return "" if subject.domain.groups else f"takes no groups: {subject.domain.absent.get('groups', '')}"


def needs_running(subject: WhiteningSubject) -> str:
    return "" if subject.domain.running else subject.domain.absent.get("running statistics", "")


def needs_evaluation(subject: WhiteningSubject) -> str:
    return "" if subject.domain.evaluation else subject.domain.absent.get("evaluation", "")


def needs_eps(subject: WhiteningSubject) -> str:
    return "" if subject.contract.eps is None else "its eps cannot be changed"


def _rotates(entry: Whitening) -> bool:
    return entry.rotates


def _exact(entry: Whitening) -> bool:
    return entry.root != "newton"


def _triangular(entry: Whitening) -> bool:
    return entry.triangular


_PLAIN = WhiteningSpace(affine=(False,))

CHECKS = (
    Check("white-output", "y = w R (x - mean(x)) + b", f"{ZCA}, Algorithm 1", ask_output, WhiteningSpace()),
    Check(
        "white-gradient",
        "dx, dweight and dbias are those of the closed form",
        f"{ZCA}, section 3.2",
        ask_gradient,
        WhiteningSpace(),
        lacks=needs_gradient,
    ),
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
    Check(
        "white-running",
        "running statistics are averaged with momentum",
        f"{ZCA}, Algorithm 1",
        ask_running,
        _PLAIN,
        lacks=needs_running,
    ),
    Check(
        "white-evaluation",
        "evaluation is by running statistics",
        f"{ITER}, Algorithm 1",
        ask_evaluation,
        WhiteningSpace(training=(False,)),
        lacks=needs_evaluation,
    ),
)
