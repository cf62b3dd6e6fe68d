"""Faults of running statistics: which step they belong to, how they are stored, evaluation, padding, a new net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.recurrent.case import InitialNet, RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import STATE, Recurrent
from normcheck.families.recurrent.faults.base import (
    EVALUATION,
    PADDED,
    START,
    STATISTICS,
    RecurrentFault,
    always,
    batch,
    stepwise,
)
from normcheck.normalizers.reference.standardize import Setting


def _one_slot(new: InitialNet) -> InitialNet:
    means = {place: rows[:1] for place, rows in new.means.items()}
    return replace(new, means=means, variances={place: rows[:1] for place, rows in new.variances.items()})


def _kept_as_given(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, means=case.means, variances=case.variances)


def _moved_in_evaluation(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    if case.training:
        return answer
    return replace(answer, means={place: 0.9 * rows for place, rows in case.means.items()})


def _always_training(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(training=True)


def _new_statistics(case: RecurrentCase) -> RecurrentCase:
    means = {place: np.zeros(rows.shape) for place, rows in case.means.items()}
    return case.but(means=means, variances={place: np.ones(rows.shape) for place, rows in case.variances.items()})


def _center_inside(x: Array, k: Setting) -> tuple[Array, Array]:
    """The mean of those that live, subtracted from those that do not as well."""
    mu = x.sum(axis=1, keepdims=True) / x.dtype.type(k.divisor)
    return mu, x - mu


def _state_at_the_end(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, last={**answer.last, "h": answer.y[-1]})


def _gain_at(value: float) -> Callable[[InitialNet], InitialNet]:
    def initial(found: InitialNet) -> InitialNet:
        gains = {role: np.full(v.shape, value) for role, v in found.parameters.items() if role.startswith("gain")}
        return replace(found, parameters={**found.parameters, **gains})

    return initial


ALL = (
    RecurrentFault(
        name="statistics-shared-by-steps",
        story="One running statistic serves all steps: each step is blended into it in turn, evaluation reads it.",
        source="jihunchoi/recurrent-batch-normalization-pytorch#1",
        damages=STATISTICS,
        concerns=stepwise,
        unrolled=lambda u: replace(u, slot=lambda t, slots: 0, stored=lambda t, slots: 0),
        initial=_one_slot,
    ),
    RecurrentFault(
        name="first-statistics-in-evaluation",
        story="Evaluation takes the statistics of the first step at every step, because the steps share one module.",
        source="Element-Research/rnn#252",
        damages=EVALUATION,
        concerns=stepwise,
        unrolled=lambda u: replace(u, slot=lambda t, slots: 0),
    ),
    RecurrentFault(
        name="steps-beyond-start-again",
        story="Beyond the last step with statistics evaluation begins with those of the first step again.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=stepwise,
        unrolled=lambda u: replace(u, slot=lambda t, slots: t % slots),
    ),
    RecurrentFault(
        name="steps-beyond-take-the-first",
        story="Beyond the last step with statistics evaluation takes those of the first.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=stepwise,
        unrolled=lambda u: replace(u, slot=lambda t, slots: t if t < slots else 0),
    ),
    RecurrentFault(
        name="statistics-one-step-late",
        story="Evaluation at a step takes the statistics of the step before.",
        source="Cooijmans and others 2016, section 3",
        damages=EVALUATION,
        concerns=stepwise,
        unrolled=lambda u: replace(u, slot=lambda t, slots: max(0, min(t, slots) - 1)),
    ),
    RecurrentFault(
        name="stored-variance-biased",
        story="The running variances take the variance that normalizes, not the unbiased one.",
        source="torch.nn.functional.batch_norm",
        damages=STATISTICS,
        concerns=batch,
        contract=lambda c: replace(c, running_variance="biased"),
    ),
    RecurrentFault(
        name="momentum-of-the-old",
        story="momentum weighs the old statistics, as Keras has it.",
        source="torch.nn.functional.batch_norm",
        damages=STATISTICS,
        concerns=batch,
        contract=lambda c: replace(c, momentum="old"),
    ),
    RecurrentFault(
        name="step-statistics-not-stored",
        story="Training leaves the running statistics as they were.",
        source="LaurentMazare/tch-rs#628",
        damages=STATISTICS,
        concerns=batch,
        after=_kept_as_given,
    ),
    RecurrentFault(
        name="evaluation-moves-statistics",
        story="Evaluation blends its batch into the running statistics.",
        source="LaurentMazare/tch-rs#628",
        damages=EVALUATION,
        concerns=batch,
        after=_moved_in_evaluation,
    ),
    RecurrentFault(
        name="evaluation-with-batch-statistics",
        story="Evaluation normalizes with the statistics of its own batch.",
        source="LaurentMazare/tch-rs#628",
        damages=EVALUATION,
        concerns=batch,
        before=_always_training,
        after=lambda answer, case: answer if case.training else _kept_as_given(answer, case),
    ),
    RecurrentFault(
        name="statistics-not-saved",
        story="The saved state lacks the running statistics: a list of modules for the steps that is no ModuleList.",
        source="torch.nn.ModuleList",
        damages="nets that are loaded",
        concerns=batch,
        loaded=_new_statistics,
    ),
    RecurrentFault(
        name="statistics-over-padding",
        story="Cases that have ended are read by the statistics of a step, as whatever stands in the padding.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=batch,
        unrolled=lambda u: replace(u, rows=np.ones_like),
    ),
    RecurrentFault(
        name="mask-inside-the-square",
        story="The variance is the mean of (x mask - mean)^2: cases that have ended add the square of the mean.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=batch,
        unrolled=lambda u: replace(u, blank=True),
        steps=lambda s: replace(s, center=_center_inside),
    ),
    RecurrentFault(
        name="lengths-ignored",
        story="The state goes on through the padding, and so do the statistics.",
        source="cooijmanstim/recurrent-batch-normalization#2",
        damages=PADDED,
        concerns=always,
        before=lambda case, entry: case.but(lengths=None),
    ),
    RecurrentFault(
        name="last-state-of-the-last-step",
        story="The state that is returned is the output of the last step, which is 0 for a case that ended before.",
        source="torch.nn.utils.rnn.pad_packed_sequence",
        damages=PADDED,
        concerns=always,
        after=_state_at_the_end,
    ),
    RecurrentFault(
        name="gain-starts-at-one",
        story="The gains start at 1, where tanh saturates, not at 0.1.",
        source="Cooijmans and others 2016, section 4",
        damages=START,
        concerns=lambda e: e.gain != 1.0,
        initial=_gain_at(1.0),
    ),
    RecurrentFault(
        name="shift-not-removed",
        story="The norms of the summed inputs train shifts of their own beside the bias that follows.",
        source="Cooijmans and others 2016, section 3",
        damages=START,
        concerns=lambda e: batch(e) and STATE in e.places,
        initial=lambda new: replace(new, extra=("norm_ih.bias", "norm_hh.bias")),
    ),
    RecurrentFault(
        name="variance-starts-at-zero",
        story="The running variances start at 0, not at 1.",
        source="torch.nn.BatchNorm1d, running_var",
        damages=START,
        concerns=batch,
        initial=lambda new: replace(new, variances=new.means),
    ),
)
