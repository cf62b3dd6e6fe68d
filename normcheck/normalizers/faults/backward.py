"""Faults of the gradients; the output is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.forward import fewer
from normcheck.normalizers.faults.memory import misread
from normcheck.normalizers.faults.structure import (
    any_of_them,
    averages,
    centered,
    divides,
    has_bias,
    has_both,
    has_eps,
    units_share,
    weighted,
    weighted_activations,
)
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

Backward = Callable[[Saved, Array, Setting], Array]


def through(change: Callable[[tuple[int, int]], tuple[int, int]]) -> Callable[[Steps], Steps]:
    """The gradient passes through other statistics than it should: (mean, variance)."""

    def wrap(steps: Steps) -> Steps:
        return replace(
            steps, backward=lambda saved, g, k: steps.backward(saved, g, replace(k, through=change(k.through)))
        )

    return wrap


def with_setting(change: Callable[[Setting], Setting]) -> Callable[[Steps], Steps]:
    """The backward alone gets another setting."""

    def wrap(steps: Steps) -> Steps:
        return replace(steps, backward=lambda saved, g, k: steps.backward(saved, g, change(k)))

    return wrap


def with_saved(change: Callable[[Saved, Setting], Saved]) -> Callable[[Steps], Steps]:
    """The backward alone gets other statistics than the forward used."""

    def wrap(steps: Steps) -> Steps:
        return replace(steps, backward=lambda saved, g, k: steps.backward(change(saved, k), g, k))

    return wrap


def with_dx(change: Callable[[Array, Saved], Array]) -> Callable[[Steps], Steps]:
    """The right gradient is changed in a last step."""

    def wrap(steps: Steps) -> Steps:
        return replace(steps, backward=lambda saved, g, k: change(steps.backward(saved, g, k), saved))

    return wrap


Factor = Callable[[Saved, Setting], Array | float]
"""A factor of a term of the backward, from the statistics."""


def variance_term(factor: Factor) -> Callable[[Steps], Steps]:
    """The term of the variance is multiplied by a factor, if the gradient passes through it."""

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            if not k.through[1]:
                return steps.backward(saved, g, k)
            without = steps.backward(saved, g, replace(k, through=(k.through[0], 0)))
            out: Array = without + ((steps.backward(saved, g, k) - without) * factor(saved, k)).astype(g.dtype)
            return out

        return replace(steps, backward=backward)

    return wrap


def mean_term(term: Callable[[Array, Setting], Array]) -> Callable[[Steps], Steps]:
    """Another value is subtracted for the mean, if the gradient passes through it."""

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            if not (k.centered and k.through[0]):
                return steps.backward(saved, g, k)
            without = steps.backward(saved, g, replace(k, through=(0, k.through[1])))
            return without - term(without, k)

        return replace(steps, backward=backward)

    return wrap


def _no_eps(saved: Saved, k: Setting) -> Saved:
    s = np.sqrt(saved.v)
    return replace(saved, s=s, slope=s.dtype.type(0.5) / s)


def _rounded(saved: Saved, k: Setting) -> Saved:
    def half(a: Array) -> Array:
        return k.format.round(a).astype(a.dtype)

    s, mu = half(saved.s), half(saved.mu)
    return replace(saved, mu=mu, s=s, slope=s.dtype.type(0.5) / s, c=saved.x - mu if k.centered else saved.c)


def _single(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        low = replace(saved, x=saved.x.astype(np.float32), c=saved.c.astype(np.float32), s=saved.s.astype(np.float32))
        return steps.backward(low, g.astype(np.float32), k).astype(g.dtype)

    return replace(steps, backward=backward)


def with_cotangent(change: Callable[[Array, Case], Array]) -> Callable[[FaultQuestion], Case]:
    """The backward reads another cotangent than the one that it was given."""

    def before(question: FaultQuestion) -> Case:
        case = question.case
        return case if case.dy is None else case.but(dy=change(case.dy, case))

    return before


def _first_element(dy: Array, case: Case) -> Array:
    return np.full(dy.shape, dy.reshape(-1)[0]) if dy.size else dy


NEGLIGIBLE = 1e-6
"""Below this, an entry of the cotangent is taken for zero."""


def _without_small(dy: Array, case: Case) -> Array:
    return np.where(np.abs(dy) < NEGLIGIBLE, 0.0, dy)


def _as_if_contiguous(dy: Array, case: Case) -> Array:
    """The first numbers in memory, as many as the array has entries."""
    return misread(dy, case.layout("dy"))


def with_gradient(
    name: str, change: Callable[[Array, FaultQuestion], Array]
) -> Callable[[Answer, FaultQuestion], Answer]:
    """One gradient of the answer is changed."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        value = getattr(answer, name)
        changes: dict[str, Any] = {} if value is None else {name: change(value, question)}
        return replace(answer, **changes)

    return after


def _per_entry(value: Array, question: FaultQuestion) -> Array:
    """Divided by the number of entries that one parameter multiplies."""
    out: Array = value / max(1, question.case.x.size // max(1, value.size))
    return out


def _weight(question: FaultQuestion) -> Array:
    """The weight in the input's shape; 1 without a weight."""
    case = question.case
    if case.weight is None:
        return np.ones(())
    spread = partition(question.normalizer, case).spread(case.weight)
    return spread + 1.0 if question.contract.weight == "1+w" else spread


def _times_weight(answer: Answer, question: FaultQuestion) -> Answer:
    return answer if answer.dx is None else replace(answer, dx=answer.dx * _weight(question))


def _swapped(answer: Answer, question: FaultQuestion) -> Answer:
    if answer.dweight is None or answer.dbias is None:
        return answer
    return replace(answer, dweight=answer.dbias, dbias=answer.dweight)


def _quadratic(answer: Answer, question: FaultQuestion) -> Answer:
    dy = question.case.dy
    size = 1.0 if dy is None else float(np.sqrt(np.square(dy).mean()))
    there = [name for name in ("dx", "dweight", "dbias") if getattr(answer, name) is not None]
    grown: dict[str, Any] = {name: getattr(answer, name) * size for name in there}
    return replace(answer, **grown)


def _first_rows(multiple: int) -> Callable[[Array], Array]:
    """Zeros for the rows beyond the last whole block; with blocks of one, for the last row."""

    def keep(full: Array) -> Array:
        out, rows = full.copy(), len(full)
        out[rows - 1 if multiple == 1 else rows - rows % multiple :] = 0
        return out

    return keep


def with_dweight(change: Callable[[Array], Array]) -> Callable[[Steps], Steps]:
    """The terms that are summed to the weight's gradient are changed."""

    def wrap(steps: Steps) -> Steps:
        return replace(steps, dweight=lambda dy, xh, x: change(np.broadcast_to(steps.dweight(dy, xh, x), x.shape)))

    return wrap


STATISTICS = (
    Fault(
        name="mean-term-missing",
        story="The backward forgets that the mean depends on the input. Hides where the cotangent has mean 0.",
        source="BVLC/caffe#1891",
        concerns=centered,
        where="backward",
        steps=through(lambda ab: (0, ab[1])),
    ),
    Fault(
        name="mean-term-doubled",
        story="The mean of the cotangent is subtracted twice, because a register still held it. Hides where the "
        "cotangent has mean 0.",
        source="tenstorrent/tt-metal#53204",
        concerns=centered,
        where="backward",
        steps=mean_term(lambda dx, k: dx.dtype.type(2) * dx.mean(axis=1, keepdims=True)),
    ),
    Fault(
        name="variance-term-missing",
        story="The backward forgets that the scale depends on the input. Hides where the cotangent is orthogonal to "
        "the output.",
        source="pytorch/pytorch#36382",
        concerns=divides,
        where="backward",
        steps=through(lambda ab: (ab[0], 0)),
    ),
    Fault(
        name="statistics-constant",
        story="The backward takes mean and variance for constants. Hides in evaluation, where they are.",
        source="pytorch/pytorch#186256",
        concerns=centered,
        where="backward",
        steps=through(lambda ab: (0, 0)),
    ),
    Fault(
        name="variance-term-doubled",
        story="The factor 2 of the square is not canceled by the 1/2 of the root. Hides where the cotangent is "
        "orthogonal to the output.",
        source="davisking/dlib#3001",
        concerns=divides,
        where="backward",
        steps=variance_term(lambda saved, k: 2.0),
    ),
    Fault(
        name="variance-term-sign",
        story="The term of the variance is added instead of subtracted. Hides where the cotangent is orthogonal to "
        "the output.",
        source="ggml-org/ggml#1519",
        concerns=divides,
        where="backward",
        steps=variance_term(lambda saved, k: -1.0),
    ),
    Fault(
        name="dx-unbiased",
        story="The term of the variance divides by n - 1, the forward by n. Hides in wide sets.",
        source="LBANN/lbann#2024",
        concerns=averages,
        where="backward",
        steps=with_setting(fewer),
    ),
    Fault(
        name="dx-eps-dropped",
        story="The backward divides by sqrt(v): eps protects the forward alone. Hides until a set is constant or its "
        "variance small.",
        source="FluxML/Flux.jl#2096",
        concerns=has_eps,
        where="backward",
        steps=with_saved(_no_eps),
    ),
    Fault(
        name="dx-cross-row",
        story="The mean of the cotangent is taken over all sets. Hides with one set.",
        source="flagos-ai/FlagGems#5392",
        concerns=centered,
        where="backward",
        steps=mean_term(lambda dx, k: dx.mean()),
    ),
    Fault(
        name="saved-statistics-in-half",
        story="Mean and root are saved for the backward in half precision. Hides in float32, and where the mean is "
        "no larger than the deviation.",
        source="flagos-ai/FlagGems#221",
        concerns=centered,
        where="backward",
        under=Contract(accuracy="sound"),
        steps=with_saved(_rounded),
    ),
)

INPUT = (
    Fault(
        name="dx-without-weight",
        story="The backward forgets the weight. Hides while it is 1.",
        source="karpathy/llm.c#763",
        concerns=weighted,
        where="backward",
        steps=lambda steps: replace(steps, cotangent=lambda dy, w: steps.cotangent(dy, None)),
    ),
    Fault(
        name="dx-weight-last",
        story="The weight multiplies the finished gradient instead of the cotangent. Hides while all weights of a set "
        "are equal.",
        source="ROCm/MIOpen#104",
        concerns=units_share,
        where="backward",
        steps=lambda steps: replace(steps, cotangent=lambda dy, w: steps.cotangent(dy, None)),
        after=_times_weight,
    ),
    Fault(
        name="dx-weight-twice",
        story="The gradient is multiplied by a weight that is in it already. Hides while the weight is 1.",
        source="NVIDIA/Megatron-LM#6859",
        concerns=weighted,
        where="backward",
        after=_times_weight,
    ),
    Fault(
        name="dx-not-divided",
        story="The factor 1/s is missing. Hides where the variance is 1.",
        source="flagos-ai/FlagGems#5771",
        concerns=divides,
        where="backward",
        steps=with_dx(lambda dx, saved: dx * saved.s),
    ),
    Fault(
        name="dx-slightly-scaled",
        story="The gradient is larger by a millionth. Hides behind every tolerance that was loosened until the tests "
        "passed.",
        source="HomericIntelligence/Mnemosyne#987",
        concerns=any_of_them,
        where="backward",
        steps=with_dx(lambda dx, saved: dx * dx.dtype.type(1.0 + 1e-6)),
    ),
    Fault(
        name="dx-in-float32",
        story="The backward computes in single precision, for float64 input too. Hides behind tolerances made for "
        "float32.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        where="backward",
        steps=_single,
    ),
    Fault(
        name="dx-missing",
        story="The fused path has no backward: the input gets zeros. Hides where only parameters are trained.",
        source="huggingface/candle#2168",
        concerns=any_of_them,
        where="backward",
        after=with_gradient("dx", lambda dx, question: np.zeros_like(dx)),
    ),
    Fault(
        name="cotangent-first-element",
        story="The first element of the cotangent is read everywhere. Hides behind the loss y.sum().",
        source="Dao-AILab/quack#88",
        concerns=any_of_them,
        where="backward",
        before=with_cotangent(_first_element),
    ),
    Fault(
        name="small-cotangent-is-zero",
        story="Entries of the cotangent below a millionth are taken for zero, and nothing is learned from them. Hides "
        "where the cotangent is of the size of 1, as it is in tests and seldom in training.",
        source="Micikevicius et al. 2018, section 3.2: gradients that are flushed to zero stop training",
        concerns=any_of_them,
        where="backward",
        before=with_cotangent(_without_small),
    ),
    Fault(
        name="cotangent-assumed-contiguous",
        story="The cotangent is read as if it were contiguous. Hides while it is.",
        source="unslothai/unsloth#10617",
        concerns=any_of_them,
        where="backward",
        before=with_cotangent(_as_if_contiguous),
    ),
    Fault(
        name="gradient-quadratic",
        story="Every gradient is multiplied by the size of the cotangent once more. Hides where that size is 1.",
        source="tensorflow/tensorflow#107705",
        concerns=any_of_them,
        where="backward",
        after=_quadratic,
    ),
)


def _dbias_needs_weight(answer: Answer, question: FaultQuestion) -> Answer:
    """Without a weight the bias gets no gradient."""
    if question.case.weight is not None or answer.dbias is None:
        return answer
    return replace(answer, dbias=0.0 * answer.dbias)


PARAMETERS = (
    Fault(
        name="dbias-needs-weight",
        story="A bias without a weight gets no gradient: both are computed in one branch, taken if there is a weight.",
        source="ml-explore/mlx#3220",
        concerns=has_bias,
        where="backward",
        after=_dbias_needs_weight,
    ),
    Fault(
        name="dweight-from-x",
        story="The weight's gradient sums dy x instead of dy xh. Hides where the input is normalized already.",
        source="davisking/dlib#3001",
        concerns=weighted,
        where="backward",
        steps=lambda steps: replace(steps, dweight=lambda dy, xh, x: steps.dweight(dy, x, x)),
    ),
    Fault(
        name="dweight-missing",
        story="The weight's gradient is zero. Hides where the parameters are frozen.",
        source="unslothai/unsloth#4533",
        concerns=weighted,
        where="backward",
        after=with_gradient("dweight", lambda dw, question: np.zeros_like(dw)),
    ),
    Fault(
        name="dweight-averaged",
        story="The weight's gradient is averaged over the entries, not summed. Hides where a weight multiplies one.",
        source="sony/nnabla#1120",
        concerns=weighted,
        where="backward",
        after=with_gradient("dweight", _per_entry),
    ),
    Fault(
        name="dweight-last-row-missing",
        story="The last row is left out of the weight's gradient. Hides where its part is small.",
        source="PaddlePaddle/Paddle#35480",
        concerns=weighted_activations,
        where="backward",
        steps=with_dweight(_first_rows(1)),
    ),
    Fault(
        name="dweight-tail-dropped",
        story="Buffers are counted by floor division, so the last rows % 4 rows are left out of the weight's "
        "gradient. Hides where the rows are a multiple of the block.",
        source="BobMcDear/attorch#18",
        concerns=weighted_activations,
        where="backward",
        steps=with_dweight(_first_rows(4)),
    ),
    Fault(
        name="dbias-averaged",
        story="The bias's gradient is averaged over the entries, not summed. Hides where a bias is added to one.",
        source="sony/nnabla#1120",
        concerns=has_bias,
        where="backward",
        after=with_gradient("dbias", _per_entry),
    ),
    Fault(
        name="dbias-missing",
        story="The bias's gradient is zero. Hides where the parameters are frozen.",
        source="pytorch/pytorch#193016",
        concerns=has_bias,
        where="backward",
        after=with_gradient("dbias", lambda db, question: np.zeros_like(db)),
    ),
    Fault(
        name="dweight-dbias-swapped",
        story="The gradients of weight and bias are returned in each other's place. Hides in tests of their shape.",
        source="fla-org/flash-linear-attention#155",
        concerns=has_both,
        where="backward",
        after=_swapped,
    ),
)

FAULTS = STATISTICS + INPUT + PARAMETERS
