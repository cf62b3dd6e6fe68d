"""Faults of a layer that keeps state over several calls: no single call shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Format
from normcheck.core.uses import CHECKPOINT
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.life import HeldStatistics, LayerHooks, begun
from normcheck.normalizers.faults.structure import batched, keeps_variance, stateful
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

Kept = Callable[[HeldStatistics, HeldStatistics, Case], HeldStatistics]
"""From what a layer keeps before a call, what a right one keeps after it, and the case, to what is kept."""


def _keeping(wrong: Kept) -> Callable[[LayerHooks], LayerHooks]:
    """What is kept after a call is changed."""

    def change(hooks: LayerHooks) -> LayerHooks:
        return replace(hooks, kept=lambda before, after, case: wrong(before, hooks.kept(before, after, case), case))

    return change


def _doing(
    operations: tuple[str, ...], wrong: Callable[[HeldStatistics, HeldStatistics], HeldStatistics]
) -> Callable[[LayerHooks], LayerHooks]:
    """What is kept after some operations is changed.

    wrong: from what is kept before, and what a right layer keeps after, to what is kept.
    """

    def change(hooks: LayerHooks) -> LayerHooks:
        def done(held: HeldStatistics, operation: str, made: Case) -> HeldStatistics:
            after = hooks.done(held, operation, made)
            return wrong(held, after) if operation in operations else after

        return replace(hooks, done=done)

    return change


def _weighing(wrong: Callable[[HeldStatistics, float], float]) -> Callable[[LayerHooks], LayerHooks]:
    """The weight of a batch is changed."""
    return lambda hooks: replace(hooks, factor=lambda held: wrong(held, hooks.factor(held)))


def _unchanged(before: HeldStatistics, after: HeldStatistics) -> HeldStatistics:
    """The statistics stay as they were."""
    return replace(after, mean=before.mean, var=before.var)


def _share(before: HeldStatistics) -> float:
    """The weight of the next batch in its update."""
    return 1.0 / (before.count + 1) if before.momentum is None else before.momentum


def _blended(held: HeldStatistics, case: Case) -> HeldStatistics:
    """What is kept after an update with the statistics of a batch."""
    axes, n = (0, *range(2, case.x.ndim)), case.x.size // case.x.shape[1]
    share, factor = _share(held), n / (n - 1.0) if n > 1 else 1.0
    mean, var = case.x.mean(axis=axes), factor * case.x.var(axis=axes)
    return replace(
        held, mean=held.mean + share * (mean - held.mean), var=held.var + share * (var - held.var), count=held.count + 1
    )


def _first_replaces(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """The statistics of the first batch replace those that were kept."""
    share = _share(before)
    if before.count or after.count == before.count:
        return after
    if share <= 0.0:  # the update took nothing of the batch
        return replace(_blended(replace(before, momentum=1.0), case), momentum=before.momentum)
    return replace(
        after,
        mean=before.mean + (after.mean - before.mean) / share,
        var=before.var + (after.var - before.var) / share,
    )


def _lags(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """The first evaluation after training updates as if it trained."""
    if case.training or not before.trained or not case.x.size:
        return after
    return _blended(after, case)


def _drifts(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """An evaluation that follows another one moves the statistics."""
    if case.training or before.trained is not False or not case.x.size:
        return after
    return replace(_blended(after, case), count=after.count)


def _again(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """The update is applied a second time."""
    if case.dy is None or not case.training:
        return after
    first = _share(before)
    if first <= 0.0:
        return after
    share = _share(after)
    return replace(
        after,
        mean=after.mean + share * (1.0 - first) / first * (after.mean - before.mean),
        var=after.var + share * (1.0 - first) / first * (after.var - before.var),
        count=after.count + 1,
    )


def _frozen(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """Frozen parameters stop the update; a layer without parameters is not frozen."""
    return _unchanged(before, after) if before.frozen and (case.weight is not None or case.bias is not None) else after


def _floor(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    return replace(after, var=np.maximum(after.var, 2.0**-5)) if case.training else after


def _without_entries(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    if case.x.size or not case.training:
        return after
    kept = 1.0 - _share(before)
    return replace(after, mean=kept * before.mean, var=kept * before.var, count=before.count + 1)


def _bessel_of_one(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """The variance is 0 / 0 where every channel has one value."""
    single = case.x.size == case.x.shape[0] * case.x.shape[1]
    if not case.training or not single or case.x.shape[0] != 1:
        return after
    return replace(after, var=np.full_like(after.var, np.nan))


def copied_in(format_of: Callable[[Case], Format]) -> Callable[[LayerHooks], LayerHooks]:
    """A copy has another format: a function of the case that the layer was made for."""

    def change(hooks: LayerHooks) -> LayerHooks:
        def done(held: HeldStatistics, operation: str, made: Case) -> HeldStatistics:
            after = hooks.done(held, operation, made)
            if operation != programs.COPY:
                return after
            own = format_of(made)
            return replace(after, format=own, mean=own.round(after.mean), var=own.round(after.var))

        return replace(hooks, done=done)

    return change


def clipped_evaluation(limit: float) -> Callable[[Answer, FaultQuestion], Answer]:
    """Evaluation clips the normalized input."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if case.training or case.running_mean is None:
            return answer
        bare = evaluate(
            question.normalizer, case.but(weight=None, bias=None, dy=None), replace(question.contract, weight="w")
        )
        full = evaluate(question.normalizer, case.but(dy=None), question.contract)
        gain = 1.0 if full.weight is None else full.weight + (1.0 if question.contract.weight == "1+w" else 0.0)
        shift = 0.0 if full.bias is None else full.bias
        far = np.abs(bare.y) > limit
        return replace(answer, y=np.where(far, np.clip(bare.y, -limit, limit) * gain + shift, answer.y))

    return after


def clipped_evaluation_gradient(limit: float) -> Callable[[Answer, FaultQuestion], Answer]:
    """Evaluation has no gradient where a clip of its own output would have none."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if case.training or case.running_mean is None or answer.dx is None:
            return answer
        bare = evaluate(
            question.normalizer, case.but(weight=None, bias=None, dy=None), replace(question.contract, weight="w")
        )
        return replace(answer, dx=np.where(np.abs(bare.y) > limit, 0.0, answer.dx))

    return after


def _lone_bias(answer: Answer, question: FaultQuestion) -> Answer:
    """A bias without a weight is forgotten in evaluation."""
    case = question.case
    if case.training or case.running_mean is None or case.bias is None or case.weight is not None:
        return answer
    return replace(answer, y=evaluate(question.normalizer, case.but(bias=None, dy=None), question.contract).y)


def _second_pass_only(answer: Answer, question: FaultQuestion) -> Answer:
    """Under recomputation neither pass updates."""
    case = question.case
    if case.use != CHECKPOINT:
        return answer
    return replace(answer, running_mean=case.running_mean, running_var=case.running_var)


LIMIT = 4096.0
"""Standard deviations of the limit of a clip: no ordinary input reaches them."""


def _fault(name: str, story: str, source: str, layer_hooks: Callable[[LayerHooks], LayerHooks], *,
           concerns: Callable[[Normalizer], bool] = stateful) -> Fault:  # fmt: skip
    return Fault(name=name, story=story, source=source, concerns=concerns, where="running", layer_hooks=layer_hooks)


FAULTS = (
    _fault(
        "cumulative-average-not-counted",
        "With momentum None every batch replaces the state: the count stays at one. Hides in a single batch.",
        "pytorch/pytorch#194504", _weighing(lambda held, share: 1.0 if held.momentum is None else share),
        concerns=batched,
    ),
    _fault(
        "momentum-none-is-default",
        "Takes momentum None for 0.1. Hides where momentum is a number.",
        "pytorch/pytorch#194504", _weighing(lambda held, share: 0.1 if held.momentum is None else share),
        concerns=batched,
    ),
    replace(
        _fault(
            "cumulative-average-swapped",
            "With momentum None the share of the new batch, one over the count, weighs the old value. "
            "Hides where momentum is a number.",
            "pytorch/pytorch#194504", _weighing(lambda held, share: 1.0 - share if held.momentum is None else share),
            concerns=batched,
        ),
        under=Contract(momentum="old"),
    ),
    _fault(
        "momentum-captured",
        "Momentum is read when the layer is made; what it is set to later is ignored. Hides where nobody changes it.",
        "pytorch/pytorch#96136 (work-arounds set it)",
        _doing(tuple(programs.MOMENTA), lambda before, after: before),
    ),
    _fault(
        "first-batch-replaces-state",
        "The first batch is stored as it is, not blended. Hides where the state begins at what the batch has.",
        "google/flax#1360 (asks for it)", _keeping(_first_replaces),
    ),
    _fault(
        "mode-read-one-call-late",
        "The first evaluation after training still updates. Hides where the mode is not switched.",
        "mf1024/Batch-Renormalization-PyTorch#1", _keeping(_lags),
    ),
    _fault(
        "second-evaluation-updates",
        "An evaluation that follows another one moves the statistics. Hides where every evaluation follows training.",
        "mf1024/Batch-Renormalization-PyTorch#1", _keeping(_drifts),
    ),
    _fault(
        "backward-updates-again",
        "The backward computes the forward again, and its update. Hides in outputs and gradients, and without one.",
        "Tencent/YOLO-Master#262", _keeping(_again),
    ),
    _fault(
        "frozen-parameters-freeze-state",
        "If no parameter requires a gradient the statistics are not updated. Hides until a layer is frozen.",
        "facebookresearch/fairscale#1035",
        _keeping(_frozen),
    ),
    _fault(
        "state-keeps-graphs",
        "Running statistics are computed with gradients, so each keeps the graph of every batch so far in memory. "
        "Hides where no gradients are recorded.",
        "pytorch/pytorch#20275",
        _keeping(lambda before, after, case: replace(after, graph=case.dy is not None and case.training)),
    ),
    _fault(
        "running-variance-floored",
        "The stored variance is kept from becoming small. Hides where the data have unit scale.",
        "patrick-kidger/equinox#314", _keeping(_floor), concerns=keeps_variance,
    ),
    _fault(
        "reset-clears-variance",
        "Resetting sets the running variance to 0, as the mean. Hides until something is evaluated before it trains.",
        "LaurentMazare/tch-rs#628",
        _doing((programs.RESET,), lambda before, after: replace(after, var=np.zeros_like(after.var))),
    ),
    _fault(
        "reset-keeps-count",
        "Resetting leaves the count of batches, so that a cumulative average goes on with small weights.",
        "pytorch/pytorch#110850",
        _doing((programs.RESET,), lambda before, after: replace(after, count=before.count)), concerns=batched,
    ),
    _fault(
        "variance-begins-at-zero",
        "A new layer has running variance 0. Hides as soon as it has trained for long.",
        "d2l-ai/d2l-en#2213",
        _doing((programs.RENEW,), lambda before, after: replace(after, var=np.zeros_like(after.var))),
    ),
    _fault(
        "state-not-saved",
        "Running statistics are no persistent buffers: a saved state does not contain them. Hides until it is loaded.",
        "LaurentMazare/tch-rs#628", _doing((programs.RELOAD,), lambda before, after: begun(after)),
    ),
    _fault(
        "count-not-saved",
        "The count of batches is lost on the way through a state_dict. Hides where momentum is a number.",
        "pytorch/pytorch#110850", _doing((programs.RELOAD,), lambda before, after: replace(after, count=0)),
        concerns=batched,
    ),
    _fault(
        "copy-shares-state",
        "A copy keeps its statistics in the memory of the original. Hides where the original is thrown away.",
        "pytorch/pytorch#29015",
        _doing((programs.COPY,), lambda before, after: replace(after, mean=after.mean + 1.0, var=after.var + 1.0)),
    ),
    _fault(
        "copy-as-made",
        "A copy is built anew and filled, in the dtype that the layer was made with. Hides where no layer is moved "
        "and then copied.",
        "pytorch/pytorch#29015", copied_in(lambda made: made.format),
    ),
    _fault(
        "state-stays-in-its-format",
        "Moving a layer to another dtype leaves its running statistics behind. Hides where every layer is float32.",
        "tinygrad/tinygrad#7025",
        _doing(tuple(programs.MOVES), lambda before, after: replace(after, format=before.format)),
    ),
    _fault(
        "narrowed-twice",
        "A layer that is moved to a wider dtype has its statistics rounded to a narrow one on the way.",
        "pytorch/pytorch#70901 (statistics kept in half)",
        _doing(
            tuple(programs.MOVES),
            lambda before, after: replace(
                after, mean=after.mean.astype(np.float16).astype(np.float64),
                var=after.var.astype(np.float16).astype(np.float64),
            ),
        ),
    ),
    _fault(
        "no-cases-count-as-zeros",
        "A batch of no cases is averaged to 0, and blended in. Hides until the last batch of a shard is empty.",
        "pytorch/pytorch#12013", _keeping(_without_entries),
    ),
    _fault(
        "one-value-gives-nan",
        "The factor n / (n - 1) at n = 1 stores a NaN. Hides until the last batch of an epoch has one case.",
        "tensorflow/tensorflow#34062", _keeping(_bessel_of_one),
    ),
    Fault(
        name="eval-clips",
        story="Evaluation clips what it normalized to 4096 standard deviations. Hides among ordinary inputs.",
        source="apple/coremltools#2821",
        concerns=stateful,
        where="evaluation",
        after=clipped_evaluation(LIMIT),
    ),
    Fault(
        name="eval-gradient-clipped",
        story="In evaluation the gradient of far inputs is zero, though their output is right. Hides among ordinary "
        "inputs.",
        source="pytorch/pytorch#586",
        concerns=stateful,
        where="evaluation",
        after=clipped_evaluation_gradient(LIMIT),
    ),
    Fault(
        name="eval-forgets-lone-bias",
        story="In evaluation a bias without a weight is not added. Hides where both are given, or none.",
        source="pytorch/pytorch#34932",
        concerns=stateful,
        where="evaluation",
        after=_lone_bias,
    ),
    Fault(
        name="recomputed-without-update",
        story="A work-around for checkpointing suppresses the update in both passes. Hides in outputs and gradients.",
        source="facebookresearch/fairscale#1035",
        concerns=stateful,
        where="use",
        after=_second_pass_only,
    ),
)  # fmt: skip
