"""Known faults of recurrent nets, as data: how each breaks the reference, who did it, and what it damages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.reference.nets import Unrolled, unroll
from normcheck.families.recurrent.reference.norms import Ways
from normcheck.families.recurrent.subject import Fresh, RecurrentAnswer, RecurrentDomain, RecurrentSubject
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.standardize import Setting, Steps


def _same(value: Any, *_: object) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentFault:
    """A known way to be wrong: the entry that is computed instead, the case that is seen, the way it is unrolled."""

    name: str
    story: str
    source: str
    damages: str
    concerns: Callable[[Recurrent], bool]
    entry: Callable[[Recurrent], Recurrent] = _same
    before: Callable[[RecurrentCase, Recurrent], RecurrentCase] = _same
    contract: Callable[[Contract], Contract] = _same
    ways: Callable[[Ways], Ways] = _same
    steps: Callable[[Steps], Steps] = _same
    after: Callable[[RecurrentAnswer, RecurrentCase], RecurrentAnswer] = _same
    fresh: Callable[[Fresh], Fresh] = _same
    loaded: Callable[[RecurrentCase], RecurrentCase] = _same  # what a net has in evaluation that loaded a saved state


WORKING = Ways(steps=Steps(compute=standardize.working))
"""The net in working precision."""

NONE = RecurrentFault(name="none", story="", source="", damages="", concerns=lambda entry: True)


def subject(entry: Recurrent, fault: RecurrentFault | None, promised: Contract) -> RecurrentSubject:
    """A net with one fault, or a sound one; everything that a check can ask is offered."""
    broken = fault or NONE
    ways = broken.ways(WORKING)
    ways = replace(ways, steps=broken.steps(ways.steps))

    def answer(case: RecurrentCase) -> RecurrentAnswer:
        seen = broken.before(case, entry)
        found = unroll(broken.entry(entry), seen, broken.contract(promised), ways)
        return _rounded(broken.after(_answer(found, case), case), case)

    def call(case: RecurrentCase, gradient: bool) -> RecurrentAnswer:
        return answer(case if gradient else case.but(dy=None, dh=None, dc=None))

    def fresh(case: RecurrentCase) -> Fresh:
        return broken.fresh(_fresh(entry, case))

    def reloaded(case: RecurrentCase) -> RecurrentAnswer:
        trained = call(case, False)
        after = case.but(training=False, dy=None, dh=None, dc=None, means=trained.means, variances=trained.variances)
        return replace(answer(broken.loaded(after)), means=trained.means, variances=trained.variances)

    domain = RecurrentDomain(roles=(*entry.parameters,), state=entry.state, slots=entry.state)
    return RecurrentSubject(f"{entry.name} with {broken.name}", entry, promised, domain, call, fresh, reloaded)


def _answer(found: Unrolled, case: RecurrentCase) -> RecurrentAnswer:
    def first(some: dict[str, Array]) -> dict[str, Array]:
        return {name: value[0] for name, value in some.items()}

    roles = {*case.parameters, "x", "h", "c"}
    grads = {name: value for name, value in first(found.grads).items() if name in roles}
    grads |= {role: np.zeros(v.shape) for role, v in case.parameters.items() if grads and role not in grads}
    return RecurrentAnswer(
        found.y[0], case.format.name, first(found.last), grads, first(found.means), first(found.variances)
    )  # fmt: skip


def _rounded(found: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    def held(some: Any) -> dict[str, Array]:
        return {name: case.format.round(value) for name, value in some.items()}

    return replace(
        found, y=case.format.round(found.y), last=held(found.last), grads=held(found.grads), means=held(found.means),
        variances=held(found.variances),
    )  # fmt: skip


def _fresh(entry: Recurrent, case: RecurrentCase) -> Fresh:
    start = {"gain": entry.gain, "shift": 0.0, "bias": 0.0}
    parameters = {role: np.full(v.shape, start[role.partition("_")[0]]) for role, v in case.parameters.items()
                  if not role.startswith("weight")}  # fmt: skip
    means = {place: np.zeros(rows.shape) for place, rows in case.means.items()}
    return Fresh(parameters, means, {place: np.ones(rows.shape) for place, rows in case.variances.items()})


# ---- whom a fault can befall


def _always(entry: Recurrent) -> bool:
    return True


def _batch(entry: Recurrent) -> bool:
    return entry.norm == "batch"


def _stepwise(entry: Recurrent) -> bool:
    return entry.norm == "batch" and entry.statistics == "step"


def _lstm(entry: Recurrent) -> bool:
    return entry.cell == "lstm"


def _layer_lstm(entry: Recurrent) -> bool:
    return entry.norm == "layer" and entry.cell == "lstm"


def _both(entry: Recurrent) -> bool:
    return {"ih", "hh"} <= set(entry.places)


# ---- how


def _without(*places: str) -> Callable[[Recurrent], Recurrent]:
    return lambda entry: replace(entry, places=tuple(p for p in entry.places if p not in places))


def _summed(entry: Recurrent) -> Recurrent:
    return replace(entry, places=("sum", *(p for p in entry.places if p == "c")))


def _gain_of_the_sum(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    p = case.parameters
    sums = {"gain_sum": p["gain_ih"]} if "gain_ih" in p else {}
    if "shift_ih" in p and "shift_hh" in p:
        sums["shift_sum"] = p["shift_ih"] + p["shift_hh"]
    means = {("sum" if place == "ih" else place): rows for place, rows in case.means.items()}
    variances = {("sum" if place == "ih" else place): rows for place, rows in case.variances.items()}
    return case.having(**sums).but(means=means, variances=variances)


def _statistics_back(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    """The statistics of the sum under the name of those of the input."""
    means = {place: answer.means.get(place, answer.means.get("sum", rows)) for place, rows in case.means.items()}
    variances = {
        place: answer.variances.get(place, answer.variances.get("sum", rows)) for place, rows in case.variances.items()
    }
    return replace(answer, means=means, variances=variances)


def _center_inside(x: Array, k: Setting) -> tuple[Array, Array]:
    """The mean of those that live, subtracted from those that do not as well."""
    mu = x.sum(axis=1, keepdims=True) / x.dtype.type(k.divisor)
    return mu, x - mu


def _view(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    """An input (cases, steps, inputs) seen as (steps, cases, inputs) without moving anything."""
    if not case.batch_first:
        return case
    return case.but(x=np.swapaxes(case.x, 0, 1).reshape(case.x.shape))


def _without_roles(kind: str) -> Callable[[RecurrentCase, Recurrent], RecurrentCase]:
    def before(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
        left = {role: v for role, v in case.parameters.items() if not role.startswith(kind)}
        return case.but(parameters=left)

    return before


def _unlike(x: Array, k: Setting) -> tuple[Array, Array]:
    return np.zeros_like(x[:, :1]), x


def _unbiased(c: Array, x: Array, k: Setting) -> Array:
    out: Array = (c * c).sum(axis=1, keepdims=True) / x.dtype.type(max(k.divisor - 1.0, 1.0))
    return out


def _without_eps(v: Array, k: Setting) -> tuple[Array, Array]:
    return standardize.scale(v, replace(k, eps=1e-30))


def _fixed_eps(v: Array, k: Setting) -> tuple[Array, Array]:
    return standardize.scale(v, replace(k, eps=1e-3))


def _kept_as_given(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, means=case.means, variances=case.variances)


def _moved_in_evaluation(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    if case.training:
        return answer
    return replace(answer, means={place: 0.9 * rows for place, rows in case.means.items()})


def _always_training(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(training=True)


def _state_at_the_end(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, last={**answer.last, "h": answer.y[-1]})


def _gain_shared(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.having(gain_hh=case.parameters["gain_ih"]) if "gain_hh" in case.parameters else case


def _gain_at(value: float) -> Callable[[Fresh], Fresh]:
    def fresh(found: Fresh) -> Fresh:
        gains = {role: np.full(v.shape, value) for role, v in found.parameters.items() if role.startswith("gain")}
        return replace(found, parameters={**found.parameters, **gains})

    return fresh


def _one_slot(fresh: Fresh) -> Fresh:
    means = {place: rows[:1] for place, rows in fresh.means.items()}
    return replace(fresh, means=means, variances={place: rows[:1] for place, rows in fresh.variances.items()})


def _late(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(x=np.concatenate([case.x[:1], case.x[:-1]]))


def _cell_only(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(c=None)


def _fresh_statistics(case: RecurrentCase) -> RecurrentCase:
    means = {place: np.zeros(rows.shape) for place, rows in case.means.items()}
    return case.but(means=means, variances={place: np.ones(rows.shape) for place, rows in case.variances.items()})


def _written(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, changed=("x was written to",))


OUTPUT = "the output, and the gradients through it"
GRADIENT = "gradients alone: every output is right"
STATISTICS = "running statistics, and evaluation through them"
EVALUATION = "evaluation with running statistics"
PADDED = "series of different lengths"
START = "the net as it is built"

FAULTS = (
    RecurrentFault(
        name="statistics-shared-by-steps",
        story="One running statistic serves all steps: each step is blended into it in turn, evaluation reads it.",
        source="jihunchoi/recurrent-batch-normalization-pytorch#1",
        damages=STATISTICS,
        concerns=_stepwise,
        ways=lambda w: replace(w, slot=lambda t, slots: 0, stored=lambda t, slots: 0),
        fresh=_one_slot,
    ),
    RecurrentFault(
        name="first-statistics-in-evaluation",
        story="Evaluation takes the statistics of the first step at every step, because the steps share one module.",
        source="Element-Research/rnn#252",
        damages=EVALUATION,
        concerns=_stepwise,
        ways=lambda w: replace(w, slot=lambda t, slots: 0),
    ),
    RecurrentFault(
        name="steps-beyond-start-again",
        story="Beyond the last step with statistics evaluation begins with those of the first step again.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=_stepwise,
        ways=lambda w: replace(w, slot=lambda t, slots: t % slots),
    ),
    RecurrentFault(
        name="steps-beyond-take-the-first",
        story="Beyond the last step with statistics evaluation takes those of the first.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=_stepwise,
        ways=lambda w: replace(w, slot=lambda t, slots: t if t < slots else 0),
    ),
    RecurrentFault(
        name="statistics-one-step-late",
        story="Evaluation at a step takes the statistics of the step before.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=_stepwise,
        ways=lambda w: replace(w, slot=lambda t, slots: max(0, min(t, slots) - 1)),
    ),
    RecurrentFault(
        name="statistics-over-padding",
        story="Cases that have ended are read by the statistics of a step, as whatever stands in the padding.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=_batch,
        ways=lambda w: replace(w, rows=np.ones_like),
    ),
    RecurrentFault(
        name="mask-inside-the-square",
        story="The variance is the mean of (x mask - mean)^2: cases that have ended add the square of the mean.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=_batch,
        ways=lambda w: replace(w, blank=True),
        steps=lambda s: replace(s, center=_center_inside),
    ),
    RecurrentFault(
        name="lengths-ignored",
        story="The state goes on through the padding, and so do the statistics.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=_always,
        before=lambda case, entry: case.but(lengths=None),
    ),
    RecurrentFault(
        name="last-state-of-the-last-step",
        story="The state that is returned is the output of the last step, which is 0 for a case that ended before.",
        source="torch.nn.utils.rnn.pad_packed_sequence",
        damages=PADDED,
        concerns=_always,
        after=_state_at_the_end,
    ),
    RecurrentFault(
        name="gain-starts-at-one",
        story="The gains start at 1, where tanh saturates, not at 0.1.",
        source="Cooijmans and others 2016, section 4",
        damages=START,
        concerns=lambda e: e.gain != 1.0,
        fresh=_gain_at(1.0),
    ),
    RecurrentFault(
        name="shift-not-removed",
        story="The norms of the summed inputs train shifts of their own beside the bias that follows.",
        source="Cooijmans and others 2016, section 3",
        damages=START,
        concerns=lambda e: _batch(e) and "hh" in e.places,
        fresh=lambda f: replace(f, extra=("norm_ih.bias", "norm_hh.bias")),
    ),
    RecurrentFault(
        name="variance-starts-at-zero",
        story="The running variances start at 0, not at 1.",
        source="torch.nn.BatchNorm1d, running_var",
        damages=START,
        concerns=_batch,
        fresh=lambda f: replace(f, variances=f.means),
    ),
    RecurrentFault(
        name="gates-in-another-order",
        story="The gates are taken as i, g, f, o, TensorFlow's order, from weights in torch's.",
        source="torch.nn.LSTM, against tf.nn.rnn_cell.LSTMCell",
        damages=OUTPUT,
        concerns=_lstm,
        ways=lambda w: replace(w, gates=lambda cell: ("i", "g", "f", "o")),
    ),
    RecurrentFault(
        name="update-gate-the-other-way",
        story="The update gate lets the candidate in where torch's keeps the state.",
        source="Ba, Kiros, Hinton 2016, eq. 26, against torch.nn.GRU",
        damages=OUTPUT,
        concerns=lambda e: e.cell == "gru",
        ways=lambda w: replace(w, keeps=-1.0),
    ),
    RecurrentFault(
        name="cell-not-normalized",
        story="The cell goes into its tanh without the norm.",
        source="opendilab/DI-engine#849",
        damages=OUTPUT,
        concerns=lambda e: "c" in e.places,
        entry=_without("c"),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="normalized-cell-carried",
        story="The cell itself is replaced by the normalized one, so that its memory is rescaled at each step.",
        source="Ba, Kiros, Hinton 2016, eq. 22",
        damages=OUTPUT,
        concerns=_lstm,
        ways=lambda w: replace(w, carried=True),
    ),
    RecurrentFault(
        name="no-norm-at-all",
        story="The class derives from one without norms, and none is there.",
        source="seba-1511/lstms.pth#3",
        damages=OUTPUT,
        concerns=_always,
        entry=lambda e: replace(e, places=()),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="norm-of-the-sum",
        story="The sum of both products is normalized, with the gain of the input's norm.",
        source="tensorflow/tensorflow#15861",
        damages=OUTPUT,
        concerns=_both,
        entry=_summed,
        before=_gain_of_the_sum,
        after=_statistics_back,
    ),
    RecurrentFault(
        name="hidden-norm-missing",
        story="What the state sends is not normalized, only what the input sends.",
        source="Laurent and others 2015, section 3",
        damages=OUTPUT,
        concerns=_both,
        entry=_without("hh"),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="input-norm-missing",
        story="What the input sends is not normalized.",
        source="Ba, Kiros, Hinton 2016, eq. 20",
        damages=OUTPUT,
        concerns=lambda e: "ih" in e.places,
        entry=_without("ih"),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="layer-norm-of-each-gate",
        story="Each gate is normalized by itself; the paper takes one statistic over all.",
        source="tensorflow/tensorflow#15861",
        damages=OUTPUT,
        concerns=_layer_lstm,
        ways=lambda w: replace(w, blocks=(1, 1, 1, 1)),
    ),
    RecurrentFault(
        name="gates-and-candidate-together",
        story="One statistic is taken over the gates and the candidate of a GRU.",
        source="Ba, Kiros, Hinton 2016, eq. 23",
        damages=OUTPUT,
        concerns=lambda e: e.norm == "layer" and e.cell == "gru",
        ways=lambda w: replace(w, blocks=(3,)),
    ),
    RecurrentFault(
        name="gain-shared",
        story="Both norms are multiplied by the gain of the input's.",
        source="Ba, Kiros, Hinton 2016, eq. 20",
        damages=OUTPUT,
        concerns=_both,
        before=_gain_shared,
    ),
    RecurrentFault(
        name="recurrent-bias-ignored",
        story="The bias of the gates is not added; it had been left out by oversight.",
        source="tensorflow/addons#210",
        damages=OUTPUT,
        concerns=lambda e: "bias_ih" in e.parameters,
        before=_without_roles("bias"),
    ),
    RecurrentFault(
        name="shifts-ignored",
        story="The shifts of the norms are not added.",
        source="tensorflow/addons#210",
        damages=OUTPUT,
        concerns=lambda e: any(role.startswith("shift") for role in e.parameters),
        before=_without_roles("shift"),
    ),
    RecurrentFault(
        name="first-state-ignored",
        story="Every series starts from zero, whatever state is given.",
        source="torch.nn.LSTM",
        damages=OUTPUT,
        concerns=_always,
        before=lambda case, entry: case.but(h=None, c=None),
    ),
    RecurrentFault(
        name="first-cell-ignored",
        story="The first cell starts from zero, whatever is given.",
        source="torch.nn.LSTM",
        damages=OUTPUT,
        concerns=_lstm,
        before=_cell_only,
    ),
    RecurrentFault(
        name="input-one-step-late",
        story="A step reads the input of the step before.",
        source="torch.nn.LSTM",
        damages=OUTPUT,
        concerns=_always,
        before=_late,
    ),
    RecurrentFault(
        name="batch-first-by-view",
        story="With batch_first the axes are renamed by a view, and nothing is moved: steps of different cases mix.",
        source="torch.nn.LSTM",
        damages="input with batch_first",
        concerns=_always,
        before=_view,
    ),
    RecurrentFault(
        name="gradient-cut-at-each-step",
        story="The state is detached at each step: no gradient goes back in time, but through the cell.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=_always,
        ways=lambda w: replace(w, back=lambda t: 0.0),
    ),
    RecurrentFault(
        name="gradient-cut-at-every-second-step",
        story="The state and the cell are detached at every second step, as truncation does without being asked.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=_always,
        ways=lambda w: replace(w, back=lambda t: float(t % 2), cell_back=lambda t: float(t % 2)),
    ),
    RecurrentFault(
        name="cell-gradient-cut",
        story="The cell is detached at each step.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=_lstm,
        ways=lambda w: replace(w, cell_back=lambda t: 0.0),
    ),
    RecurrentFault(
        name="statistics-detached",
        story="Mean and variance of each step are constants to the gradient.",
        source="Ioffe and Szegedy 2015, section 2",
        damages=GRADIENT,
        concerns=_always,
        contract=lambda c: replace(c, gradient="statistics-constant"),
    ),
    RecurrentFault(
        name="step-mean-detached",
        story="The gradient does not pass through the mean of a step.",
        source="Ioffe and Szegedy 2015, section 2",
        damages=GRADIENT,
        concerns=_always,
        contract=lambda c: replace(c, gradient="mean-constant"),
    ),
    RecurrentFault(
        name="statistics-over-time",
        story="The input's norm takes its statistics over cases and steps: later inputs change earlier outputs.",
        source="Laurent and others 2015, section 3.2",
        damages=OUTPUT,
        concerns=lambda e: _stepwise(e) and "ih" in e.places,
        entry=lambda e: replace(e, statistics="sequence"),
    ),
    RecurrentFault(
        name="statistics-of-each-frame",
        story="The input's norm takes its statistics at each step, where they are due over the whole sequence.",
        source="Amodei and others 2015, section 3.2",
        damages=OUTPUT,
        concerns=lambda e: e.statistics == "sequence",
        entry=lambda e: replace(e, statistics="step"),
    ),
    RecurrentFault(
        name="batch-norm-for-layer-norm",
        story="Statistics are taken over the cases of a batch, not over the units of a case.",
        source="Ba, Kiros, Hinton 2016, section 3",
        damages=OUTPUT,
        concerns=lambda e: e.norm == "layer",
        entry=lambda e: replace(e, norm="batch"),
        before=lambda case, entry: case.but(training=True),
    ),
    RecurrentFault(
        name="recurrent-mean-not-subtracted",
        story="The norm divides, and does not subtract the mean.",
        source="Zhang and Sennrich 2019, eq. 4",
        damages=OUTPUT,
        concerns=_always,
        steps=lambda s: replace(s, center=_unlike),
    ),
    RecurrentFault(
        name="recurrent-variance-unbiased",
        story="The variance that normalizes divides by one less than the number of entries.",
        source="torch.var, unbiased by default",
        damages=OUTPUT,
        concerns=_always,
        steps=lambda s: replace(s, variance=_unbiased),
    ),
    RecurrentFault(
        name="recurrent-eps-outside-root",
        story="Divides by sqrt(v) + eps.",
        source="tracel-ai/burn#2185",
        damages=OUTPUT,
        concerns=_always,
        contract=lambda c: replace(c, eps_place="outside"),
    ),
    RecurrentFault(
        name="recurrent-eps-hard-coded",
        story="Adds 1e-3, whatever eps is.",
        source="torch.nn.LayerNorm, eps",
        damages=OUTPUT,
        concerns=_always,
        steps=lambda s: replace(s, scale=_fixed_eps),
    ),
    RecurrentFault(
        name="stored-variance-biased",
        story="The running variances take the variance that normalizes, not the unbiased one.",
        source="torch.nn.functional.batch_norm",
        damages=STATISTICS,
        concerns=_batch,
        contract=lambda c: replace(c, running_variance="biased"),
    ),
    RecurrentFault(
        name="momentum-of-the-old",
        story="momentum weighs the old statistics, as Keras has it.",
        source="torch.nn.functional.batch_norm",
        damages=STATISTICS,
        concerns=_batch,
        contract=lambda c: replace(c, momentum="old"),
    ),
    RecurrentFault(
        name="step-statistics-not-stored",
        story="Training leaves the running statistics as they were.",
        source="LaurentMazare/tch-rs#628",
        damages=STATISTICS,
        concerns=_batch,
        after=_kept_as_given,
    ),
    RecurrentFault(
        name="evaluation-moves-statistics",
        story="Evaluation blends its batch into the running statistics.",
        source="LaurentMazare/tch-rs#628",
        damages=EVALUATION,
        concerns=_batch,
        after=_moved_in_evaluation,
    ),
    RecurrentFault(
        name="evaluation-with-batch-statistics",
        story="Evaluation normalizes with the statistics of its own batch.",
        source="LaurentMazare/tch-rs#628",
        damages=EVALUATION,
        concerns=_batch,
        before=_always_training,
        after=lambda answer, case: answer if case.training else _kept_as_given(answer, case),
    ),
    RecurrentFault(
        name="statistics-not-saved",
        story="The saved state lacks the running statistics: a list of modules for the steps that is no ModuleList.",
        source="torch.nn.ModuleList",
        damages="nets that are loaded",
        concerns=_batch,
        loaded=_fresh_statistics,
    ),
    RecurrentFault(
        name="input-written-to",
        story="The input is normalized in place.",
        source="torch.nn.LSTM",
        damages="memory of the caller",
        concerns=_always,
        after=_written,
    ),
)

ALL: dict[str, RecurrentFault] = {fault.name: fault for fault in FAULTS}
