"""Faults of what is kept for later: a statistic in another form, of another call, of other groups, or overwritten.

Most are faults of the backward, which reads what the forward saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.backward import with_saved
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.memory import writes
from normcheck.normalizers.faults.structure import (
    any_of_them,
    centered,
    divides_activations,
    grouped,
    has_eps,
    stateless_activations,
    weighted_activations,
)
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer, Call

WIDTH = 1024
"""Members of a set, for which kernels often have a path of their own."""

Change = Callable[[Answer, FaultQuestion], Answer]


def summed(terms: Callable[[Saved, Setting], Array]) -> Change:
    """The weight's gradient sums dy times other terms than xh. terms: from the statistics to (sets, members)."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        if answer.dweight is None or question.case.dy is None:
            return answer
        truth = evaluate(question.normalizer, question.case, question.contract)
        other = truth.partition.scatter(terms(truth.saved, truth.setting))
        return replace(answer, dweight=truth.partition.collect(question.case.dy * other))

    return after


def reading(change: Callable[[Saved, Setting], Saved]) -> dict[str, Any]:
    """Both gradients read other statistics than the forward used."""
    return {"steps": with_saved(change), "after": summed(lambda saved, k: change(saved, k).xh)}


def _rescaled(saved: Saved, s: Array) -> Saved:
    """Statistics with another scale, and what is computed from it."""
    return replace(saved, s=s, slope=s.dtype.type(0.5) / s, xh=saved.c / s)


def _inverse_as_variance(saved: Saved, k: Setting) -> Saved:
    """1 / s is saved, and s' = sqrt(1 / s + eps) read."""
    return _rescaled(saved, np.sqrt(saved.s.dtype.type(1.0) / saved.s + saved.s.dtype.type(k.eps)))


def _variance_as_inverse(saved: Saved, k: Setting) -> Saved:
    """v is saved, and s' = 1 / v read."""
    return _rescaled(saved, saved.s.dtype.type(1.0) / saved.v)


def closed_form(read: Callable[[Saved, Setting], Saved]) -> Callable[[Steps], Steps]:
    """The backward (g - mean g - xh mean(g xh)) / s, with what is read in place of the statistics."""

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            found = read(saved, k)
            return _combined(g, found.xh, found.s, k, lambda a: a.mean(axis=1, keepdims=True))

        return replace(steps, backward=backward)

    return wrap


def _combined(g: Array, xh: Array, s: Array, k: Setting, mean: Callable[[Array], Array]) -> Array:
    """(g - A mean g - B xh mean(g xh)) / s."""
    zero = g.dtype.type(0.0)
    by_mean = mean(g) if k.centered and k.through[0] else zero
    by_variance = xh * mean(g * xh) if k.through[1] else zero
    out: Array = (g - by_mean - by_variance) / s
    return out


def overwritten(saved: Saved, k: Setting) -> Saved:
    """The input's memory holds xh by now; mean and scale are those of the input."""
    c = saved.xh - saved.mu
    return replace(saved, x=saved.xh, c=c, xh=c / saved.s)


def _mean_twice(steps: Steps) -> Steps:
    """The mean is subtracted from what is centered already; the variance and the gradient are right."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu, c = steps.center(x, k)
        return mu, c - mu

    def variance(c: Array, x: Array, k: Setting) -> Array:
        return steps.variance(steps.center(x, k)[1], x, k)

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        return steps.backward(replace(saved, c=steps.center(saved.x, k)[1]), g, k)

    return replace(steps, center=center, variance=variance, backward=backward)


def _groups_joined(answer: Answer, question: FaultQuestion) -> Answer:
    """The backward sums over all channels of a case, each with the mean and scale of its group."""
    truth = evaluate(question.normalizer, question.case, question.contract)
    part, k, g = truth.partition, truth.setting, truth.normalized_cotangent
    if g is None or answer.dx is None:
        return answer
    cases = part.seen[0]

    def mean(array: Array) -> Array:
        each = array.reshape(cases, -1).mean(axis=1)
        return np.repeat(each, part.sets // max(cases, 1))[:, None]

    return replace(answer, dx=part.scatter(_combined(g, truth.saved.xh, truth.saved.s, k, mean)))


def _group_by_remainder(answer: Answer, question: FaultQuestion) -> Answer:
    """The weight's gradient of channel c reads mean and scale of group c mod G."""
    case = question.case
    if answer.dweight is None or case.dy is None:
        return answer
    truth = evaluate(question.normalizer, case, question.contract)
    cases, groups, units, _ = truth.partition.seen
    own = np.arange(groups * units) % groups
    shape = (cases, groups * units, *(1,) * (case.x.ndim - 2))
    mu, s = (a.reshape(cases, groups)[:, own].reshape(shape) for a in (truth.saved.mu, truth.saved.s))
    return replace(answer, dweight=truth.partition.collect(case.dy * (case.x - mu) / s))


def _from_dx(answer: Answer, question: FaultQuestion) -> Answer:
    """The cotangent's memory holds dx by the time that the parameters' gradients are summed."""
    if answer.dx is None:
        return answer
    truth = evaluate(question.normalizer, question.case.but(dy=None), question.contract)
    part = truth.partition
    return replace(
        answer,
        dweight=None if answer.dweight is None else part.collect(answer.dx * truth.xh),
        dbias=None if answer.dbias is None else part.collect(answer.dx),
    )


def zero_at(*widths: int) -> Change:
    """Sets with some numbers of members get no gradient."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        special = partition(question.normalizer, question.case).n in widths
        return replace(answer, dx=np.zeros_like(answer.dx)) if special and answer.dx is not None else answer

    return after


def statistics_of_first_call(steps: Steps, *, mean: bool = True, scale: bool = True) -> Steps:
    """Mean, variance or both are those of the first input of that shape and format; the gradient takes them so.

    They are kept in what is returned: each subject has its own.
    """
    kept: dict[tuple[object, ...], tuple[Array, Array]] = {}

    def first(x: Array, k: Setting) -> tuple[Array, Array]:
        key = (x.shape, k.format.name)
        if key not in kept:
            mu, c = steps.center(x, k)
            kept[key] = mu, steps.variance(c, x, k)
        return kept[key]

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu, _ = first(x, k)
        return (mu, x - mu) if mean else steps.center(x, k)

    def variance(c: Array, x: Array, k: Setting) -> Array:
        _, v = first(x, k)
        return v if scale else steps.variance(steps.center(x, k)[1], x, k)

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        through = (0 if mean else k.through[0], 0 if scale else k.through[1])
        return steps.backward(saved, g, replace(k, through=through))

    return replace(steps, center=center, variance=variance, backward=backward)


def _remembering(call: Call) -> Call:
    """The same call, of a fault whose steps keep something from call to call."""
    return call


def _backward_of_first_call(call: Call) -> Call:
    """Later gradients are those at the first input of that shape and format."""
    kept: dict[tuple[object, ...], Case] = {}

    def stale(case: Case, gradient: bool) -> Answer:
        answer = call(case, gradient)
        if answer.dx is None:
            return answer
        first = kept.setdefault((case.x.shape, case.format.name, case.groups, case.normalized, case.training), case)
        old = call(case.but(x=first.x), gradient)
        return replace(answer, dx=old.dx, dweight=old.dweight)

    return stale


STATISTICS = (
    Fault(
        name="saved-inverse-read-as-variance",
        story="The forward saves 1 / s, the backward takes it for the variance and inverts its root again. Hides "
        "where the variance is 1.",
        source="flagos-ai/FlagGems#5222",
        concerns=has_eps,
        where="backward",
        **reading(_inverse_as_variance),
    ),
    Fault(
        name="saved-variance-read-as-inverse",
        story="The forward saves the variance, the backward takes it for 1 / s. Hides where the variance is 1.",
        source="flagos-ai/FlagGems#5771",
        concerns=divides_activations,
        where="backward",
        **reading(_variance_as_inverse),
    ),
    Fault(
        name="statistics-of-first-call",
        story="Mean and variance are computed for the first input and kept: later inputs of that shape are normalized "
        "with them. Hides in a single call, and wherever a call is repeated.",
        source="ooples/AiDotNet.Tensors#722",
        concerns=stateless_activations,
        steps=statistics_of_first_call,
        around=_remembering,
    ),
    Fault(
        name="backward-of-first-call",
        story="The backward reads what the first forward saved, which later forwards do not refresh. Hides in a "
        "single call, and wherever a call is repeated.",
        source="ooples/AiDotNet.Tensors#722",
        concerns=divides_activations,
        where="backward",
        around=_backward_of_first_call,
    ),
    Fault(
        name="dx-groups-ignored",
        story="The sums of the backward run over all channels of a case, whatever the groups; the forward is right. "
        "Hides with one group.",
        source="state-spaces/mamba#547",
        concerns=grouped,
        where="backward",
        after=_groups_joined,
    ),
    Fault(
        name="dweight-group-by-remainder",
        story="The weight's gradient of channel c reads mean and scale of group c mod G instead of the channel's own. "
        "Hides with one group, and with one channel in each.",
        source="tenstorrent/tt-metal#56202",
        concerns=grouped,
        where="backward",
        after=_group_by_remainder,
    ),
)

MEMORY = (
    Fault(
        name="input-read-after-write",
        story="Subtracts the mean in the input's own memory and reads the input again as if it were whole: the mean "
        "is subtracted twice. Hides where the mean is 0.",
        source="tenstorrent/tt-mlir#8561",
        concerns=centered,
        steps=_mean_twice,
        after=writes("x was written to"),
    ),
    Fault(
        name="backward-reads-overwritten-input",
        story="The result is written over the saved input, and the backward takes it for the input. Hides in the "
        "forward, and where the input is normalized already.",
        source="nntile/nntile#371",
        concerns=divides_activations,
        where="backward",
        steps=closed_form(overwritten),
        after=summed(lambda saved, k: overwritten(saved, k).xh),
    ),
    Fault(
        name="parameter-gradients-from-dx",
        story="The backward writes dx over the cotangent and sums the parameters' gradients after that. Hides where "
        "the parameters are frozen.",
        source="unslothai/unsloth#4550",
        concerns=weighted_activations,
        where="backward",
        after=_from_dx,
    ),
)

SIZES = (
    Fault(
        name="dx-zero-at-one-width",
        story="The path for sets of 1,024 members writes no gradient of the input. Hides at every other width.",
        source="NVIDIA/Fuser#467",
        concerns=any_of_them,
        where="backward",
        after=zero_at(WIDTH),
    ),
)

FAULTS = STATISTICS + MEMORY + SIZES
