"""Variants of the faults that change the output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.faults.forward import through_weight, weighted_first, with_eps, with_output, with_setting
from normcheck.normalizers.faults.parts import groups_of, in_parts
from normcheck.normalizers.faults.structure import activations, batched, centered, grouped, trailing, weights
from normcheck.normalizers.faults.unit_killing import gated
from normcheck.normalizers.normalizer import AXES, Normalizer, Partition
from normcheck.normalizers.reference.oracle import contract_steps, evaluate
from normcheck.normalizers.reference.standardize import (
    Saved,
    Setting,
    Steps,
    scale_eps_floor,
    scale_eps_outside,
    scale_eps_root_floor,
)
from normcheck.normalizers.subject import Answer
from normcheck.normalizers.variants.axes import of_axes
from normcheck.normalizers.variants.lanes import of_lanes
from normcheck.normalizers.variants.variant import BLOCKS, unchanged, variant

FRAMES_RANK = 5
"""Axes of a video: cases, units, frames, rows, columns."""


def _of_row_0(*, mean: bool, scale: bool) -> Callable[[Steps], Steps]:
    """Mean, scale or both are those of the first set, and the gradient is the derivative of that."""

    def wrap(steps: Steps) -> Steps:
        def center(x: Array, k: Setting) -> tuple[Array, Array]:
            mu, c = steps.center(x, k)
            return (mu[:1] + 0.0 * mu, x - mu[:1]) if mean and k.centered else (mu, c)

        def variance(c: Array, x: Array, k: Setting) -> Array:
            v = steps.variance(steps.center(x, k)[1], x, k)
            return np.broadcast_to(v[:1], v.shape) if scale else v

        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            if k.through == (0, 0):
                return steps.backward(saved, g, k)
            own = steps.center(saved.x, k)[1]
            own = np.where(np.arange(k.n) < k.part, own, 0.0) * g.dtype.type(2.0 / k.divisor)
            dx = g / saved.s
            variance_term = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
            shift = dx.copy()
            if scale:
                dx[:1] -= variance_term.sum() * own[:1]
            else:
                dx -= variance_term * own
            if mean and k.centered:
                dx[:1] -= shift.sum() / k.n
            elif k.centered:
                dx -= shift.mean(axis=1, keepdims=True)
            return dx

        return replace(steps, center=center, variance=variance, backward=backward)

    return wrap


def _over(members: tuple[int, ...]) -> Callable[[Partition, Case], Partition]:
    return lambda part, case: replace(part, members=members) if case.training else part


def _first_axis(part: Partition, case: Case) -> Partition:
    """Statistics over the first axis alone."""
    return replace(part, seen=(part.shape[0], 1, int(np.prod(part.shape[1:])), 1), members=(0,))


def _along(dim: int) -> Callable[[Partition, Case], Partition]:
    """Weights whose vectors lie along one axis, whatever the argument."""

    def repartition(part: Partition, case: Case) -> Partition:
        if not part.rows:
            return part
        axis = dim % len(part.shape)
        rest = part.shape[:axis] + part.shape[axis + 1 :]
        return replace(part, dim=axis, seen=(1, 1, part.shape[axis], int(np.prod(rest))))

    return repartition


def _unbiased_scale(steps: Steps) -> Steps:
    """The variance that normalizes divides by n - 1; the one that is stored is right."""

    def scale(v: Array, k: Setting) -> tuple[Array, Array]:
        factor = v.dtype.type(k.divisor / (k.divisor - 1.0) if k.divisor > 1.0 else np.nan)
        s, slope = steps.scale(v * factor, k)
        return s, slope * factor

    return replace(steps, scale=lambda v, k: scale(v, k) if k.through[1] else steps.scale(v, k))


def _of_first_case(answer: Answer, question: faults.FaultQuestion) -> Answer:
    """Every case is normalized with the statistics of the first; the gradient is the derivative of that."""
    case, steps = question.case, contract_steps(question.contract)
    truth = evaluate(question.normalizer, case, question.contract)
    part, saved, k = truth.partition, truth.saved, truth.setting
    each = part.sets // max(part.seen[0], 1)
    if not case.training or not each or "case" in question.normalizer.sets.members:
        return answer
    source = np.arange(part.sets) % each
    s, mu, slope = saved.s[source], saved.mu[source], saved.slope[source]
    c = saved.x - mu
    xh = part.scatter(c / s)
    y = steps.affine(xh, truth.weight, truth.bias)
    if truth.normalized_cotangent is None or case.dy is None:
        return replace(answer, y=y)
    g = truth.normalized_cotangent
    dx = g / s
    variance_term = (g * c).sum(axis=1, keepdims=True) * slope / (s * s)
    taken = np.zeros((each, k.n))
    np.add.at(taken, source, variance_term * saved.c[source] * 2.0 / k.divisor)
    if k.centered:
        np.add.at(taken, source, np.broadcast_to(dx.sum(axis=1, keepdims=True) / k.n, dx.shape))
    dx[:each] -= taken
    dweight = None if case.weight is None else part.collect(case.dy * xh)
    return replace(answer, y=y, dx=part.scatter(dx), dweight=dweight)


def _through_absolute(answer: Answer, question: faults.FaultQuestion) -> Answer:
    """The weight's gradient where the output is multiplied by |w|."""
    if answer.dweight is None or question.case.weight is None:
        return answer
    return replace(answer, dweight=answer.dweight * np.sign(question.case.weight))


def _through_bias_first(answer: Answer, question: faults.FaultQuestion) -> Answer:
    """The parameters' gradients of (xh + b) w."""
    case = question.case
    if answer.dweight is None or answer.dbias is None or case.weight is None or case.bias is None:
        return answer
    return replace(answer, dweight=answer.dweight + case.bias * answer.dbias, dbias=answer.dbias * case.weight)


def _kept_within(top: float) -> Callable[[faults.FaultQuestion], Case]:
    """The cotangent where the output was not clipped, and 0 elsewhere."""

    def before(question: faults.FaultQuestion) -> Case:
        case = question.case
        if case.dy is None:
            return case
        y = evaluate(question.normalizer, case.but(dy=None), question.contract).y
        return case.but(dy=np.where(np.abs(y) <= top, case.dy, 0.0))

    return before


def _twice(answer: Answer, question: faults.FaultQuestion) -> Answer:
    """The gradients of the layer applied to its own output: the sum of both applications."""
    case = question.case
    once = case.format.round(evaluate(question.normalizer, case.but(dy=None), question.contract).y)
    outer = evaluate(question.normalizer, case.but(x=once), question.contract)
    inner = evaluate(question.normalizer, case.but(dy=outer.dx), question.contract)

    def total(one: Array | None, other: Array | None) -> Array | None:
        return None if one is None or other is None else one + other

    return replace(
        answer, dx=inner.dx, dweight=total(outer.dweight, inner.dweight), dbias=total(outer.dbias, inner.dbias)
    )


def _momentum(value: float) -> Callable[[faults.FaultQuestion], Case]:
    return lambda question: question.case.but(momentum=value)


def _by_length(scale: Callable[[Array, Setting], tuple[Array, Array]]) -> Callable[[Steps], Steps]:
    """Divides by the length, which eps keeps from falling to 0 in another way."""
    return lambda steps: with_setting(lambda k: replace(k, divisor=1.0))(replace(steps, scale=scale))


def _frames_apart(part: Partition, case: Case) -> Partition:
    """Each index of the first of three axes of positions has statistics of its own."""
    if len(part.shape) != FRAMES_RANK:
        return part
    cases, groups, units, _ = part.seen
    frames = part.shape[2]
    seen = (cases * groups, units, frames, math.prod(part.shape[3:]))
    return replace(part, seen=seen, members=(1, 3))


def _parts(normalizer: Normalizer) -> Iterator[Fault]:
    """Statistics of other parts of a batch or of an axis than those of the catalog's faults."""
    if batched(normalizer):
        yield from (variant("split-batch", after=in_parts(count)) for count in (3, 4, 8))
        yield from (variant("split-batch", after=in_parts(count, affine=False)) for count in (2, 3, 4, 8))
    if grouped(normalizer):
        yield variant("positions-apart", repartition=_frames_apart)
    if trailing(normalizer):
        for block in BLOCKS:
            yield variant("groups-within-the-last-axis", repartition=groups_of(lambda width, b=block: b))  # type: ignore[misc]
            yield variant("groups-within-the-last-axis", repartition=groups_of(lambda width, b=block: width // b))  # type: ignore[misc]


def _sums(normalizer: Normalizer) -> Iterator[Fault]:
    """Statistics over every choice of axes that is not the right one and has no fault of its own."""
    axes = [a for a in range(4) if AXES[a] != "group" or grouped(normalizer)]
    if trailing(normalizer):
        axes = [AXES.index("case"), AXES.index("unit")]
    right = tuple(a for a in axes if AXES[a] in normalizer.sets.members)
    for count in range(1, len(axes)):
        for members in combinations(axes, count):
            if members != right:
                yield variant("statistics-over-wrong-axis", repartition=_over(members))
    if trailing(normalizer):
        yield variant("statistics-over-wrong-axis", repartition=_first_axis)


def of_outputs(normalizer: Normalizer) -> Iterator[Fault]:
    """Variants that change the output of a normalizer."""
    whole = tuple(range(4))
    yield from (variant("eps-hard-coded", before=with_eps(lambda _, e=e: e)) for e in (1e-6, 1e-8, 1e-3, 1e-12, 1e-4))  # type: ignore[misc]
    yield variant("statistics-from-row-0", steps=_of_row_0(mean=True, scale=True))
    yield variant("statistics-from-row-0", steps=_of_row_0(mean=False, scale=True))
    yield variant("statistics-from-row-0", steps=unchanged, after=_of_first_case)
    if centered(normalizer):
        yield variant("variance-unbiased", steps=_unbiased_scale)
        yield variant("statistics-from-row-0", steps=_of_row_0(mean=True, scale=False))
    yield from of_lanes(normalizer)
    yield variant("statistics-of-whole-tensor", steps=unchanged, repartition=_over(whole))
    yield variant("weight-absolute", after=_through_absolute)
    yield variant("weight-before-statistic", before=weighted_first(1.0), after=through_weight(1.0))
    for scale in (scale_eps_floor, scale_eps_root_floor, scale_eps_outside):
        yield variant("divides-by-norm", steps=_by_length(scale))
    yield variant("bias-before-weight", after=_through_bias_first)
    yield from (variant("momentum-hard-coded", before=_momentum(value)) for value in (0.01, 0.9, 0.99, 0.5))
    yield variant("activated-too", after=with_output(lambda y: np.maximum(y, 0.0)), before=gated)
    for top in (3.0, 1.0, 2.0, 5.0, 6.0, 10.0):
        clipped = with_output(lambda y, top=top: np.clip(y, -top, top))  # type: ignore[misc]
        yield variant("output-clipped", after=clipped)
        yield variant("output-clipped", after=clipped, before=_kept_within(top))
    yield variant("normalized-twice", after=_twice)
    yield from _parts(normalizer)
    if activations(normalizer):
        yield from _sums(normalizer)
        yield from of_axes(normalizer)
    if weights(normalizer):
        yield from (variant("wrong-dim", repartition=_along(dim)) for dim in (0, -1))
