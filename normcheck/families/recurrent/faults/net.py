"""Faults of the net around its norms: gates, states, places of norms, parameters, inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import CELL, INPUT, STATE, SUM, Recurrent
from normcheck.families.recurrent.faults.base import (
    OUTPUT,
    RecurrentFault,
    always,
    both,
    lstm,
)
from normcheck.families.recurrent.reference.cells import GRU


def _without(*places: str) -> Callable[[Recurrent], Recurrent]:
    return lambda entry: replace(entry, places=tuple(p for p in entry.places if p not in places))


def _summed(entry: Recurrent) -> Recurrent:
    return replace(entry, places=(SUM, *(p for p in entry.places if p == CELL)))


def _gain_of_the_sum(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    p = case.parameters
    sums = {"gain_sum": p["gain_ih"]} if "gain_ih" in p else {}
    if "shift_ih" in p and "shift_hh" in p:
        sums["shift_sum"] = p["shift_ih"] + p["shift_hh"]
    means = {(SUM if place == INPUT else place): rows for place, rows in case.means.items()}
    variances = {(SUM if place == INPUT else place): rows for place, rows in case.variances.items()}
    return case.having(**sums).but(means=means, variances=variances)


def _statistics_back(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    """The statistics of the sum under the name of those of the input."""
    means = {place: answer.means.get(place, answer.means.get(SUM, rows)) for place, rows in case.means.items()}
    variances = {
        place: answer.variances.get(place, answer.variances.get(SUM, rows)) for place, rows in case.variances.items()
    }
    return replace(answer, means=means, variances=variances)


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


def _gain_shared(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.having(gain_hh=case.parameters["gain_ih"]) if "gain_hh" in case.parameters else case


def _late(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(x=np.concatenate([case.x[:1], case.x[:-1]]))


def _cell_only(case: RecurrentCase, entry: Recurrent) -> RecurrentCase:
    return case.but(c=None)


def _written(answer: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    return replace(answer, changed=("x was written to",))


ALL = (
    RecurrentFault(
        name="gates-in-another-order",
        story="The gates are taken as i, g, f, o, TensorFlow's order, from weights in torch's.",
        source="torch.nn.LSTM, against tf.nn.rnn_cell.LSTMCell",
        damages=OUTPUT,
        concerns=lstm,
        unrolled=lambda u: replace(u, gates=lambda cell: ("i", "g", "f", "o")),
    ),
    RecurrentFault(
        name="update-gate-the-other-way",
        story="The update gate lets the candidate in where torch's keeps the state.",
        source="Ba, Kiros, Hinton 2016, eq. 26, against torch.nn.GRU",
        damages=OUTPUT,
        concerns=lambda e: e.cell is GRU,
        unrolled=lambda u: replace(u, keeps=-1.0),
    ),
    RecurrentFault(
        name="cell-not-normalized",
        story="The cell goes into its tanh without the norm.",
        source="opendilab/DI-engine#849",
        damages=OUTPUT,
        concerns=lambda e: CELL in e.places,
        entry=_without(CELL),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="normalized-cell-carried",
        story="The cell itself is replaced by the normalized one, so that its memory is rescaled at each step.",
        source="Ba, Kiros, Hinton 2016, eq. 22",
        damages=OUTPUT,
        concerns=lstm,
        unrolled=lambda u: replace(u, carried=True),
    ),
    RecurrentFault(
        name="no-norm-at-all",
        story="The class derives from one without norms, and none is there.",
        source="seba-1511/lstms.pth#3",
        damages=OUTPUT,
        concerns=always,
        entry=lambda e: replace(e, places=()),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="norm-of-the-sum",
        story="The sum of both products is normalized, with the gain of the input's norm.",
        source="tensorflow/tensorflow#15861",
        damages=OUTPUT,
        concerns=both,
        entry=_summed,
        before=_gain_of_the_sum,
        after=_statistics_back,
    ),
    RecurrentFault(
        name="hidden-norm-missing",
        story="What the state sends is not normalized, only what the input sends.",
        source="Laurent and others 2015, section 3",
        damages=OUTPUT,
        concerns=both,
        entry=_without(STATE),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="input-norm-missing",
        story="What the input sends is not normalized.",
        source="Ba, Kiros, Hinton 2016, eq. 20",
        damages=OUTPUT,
        concerns=lambda e: INPUT in e.places,
        entry=_without(INPUT),
        after=_statistics_back,
    ),
    RecurrentFault(
        name="gain-shared",
        story="Both norms are multiplied by the gain of the input's.",
        source="Ba, Kiros, Hinton 2016, eq. 20",
        damages=OUTPUT,
        concerns=both,
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
        concerns=always,
        before=lambda case, entry: case.but(h=None, c=None),
    ),
    RecurrentFault(
        name="first-cell-ignored",
        story="The first cell starts from zero, whatever is given.",
        source="torch.nn.LSTM",
        damages=OUTPUT,
        concerns=lstm,
        before=_cell_only,
    ),
    RecurrentFault(
        name="input-one-step-late",
        story="A step reads the input of the step before.",
        source="torch.nn.LSTM",
        damages=OUTPUT,
        concerns=always,
        before=_late,
    ),
    RecurrentFault(
        name="batch-first-by-view",
        story="With batch_first the axes are renamed by a view, and nothing is moved: steps of different cases mix.",
        source="torch.nn.LSTM",
        damages="input with batch_first",
        concerns=always,
        before=_view,
    ),
    RecurrentFault(
        name="input-written-to",
        story="The input is normalized in place.",
        source="torch.nn.LSTM",
        damages="memory of the caller",
        concerns=always,
        after=_written,
    ),
)
