"""Faults of a norm inside the net, in its statistics, its arithmetic and its gradient; and of the gradient in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.recurrent.entry import INPUT
from normcheck.families.recurrent.faults.base import (
    GRADIENT,
    OUTPUT,
    RecurrentFault,
    always,
    layer_lstm,
    lstm,
    stepwise,
)
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.standardize import Setting, Steps


def _unlike(x: Array, k: Setting) -> tuple[Array, Array]:
    return np.zeros_like(x[:, :1]), x


def _one_fewer(k: Setting) -> Setting:
    return replace(k, divisor=max(k.divisor - 1.0, 1.0))


def _unbiased(s: Steps) -> Steps:
    return replace(
        s, variance=lambda c, x, k: s.variance(c, x, _one_fewer(k)),
        backward=lambda saved, g, k: s.backward(saved, g, _one_fewer(k)),
    )  # fmt: skip


def _with_eps(eps: float) -> Callable[[Steps], Steps]:
    return lambda s: replace(s, scale=lambda v, k: standardize.scale(v, replace(k, eps=eps)))


def _but_each_tenth(t: int) -> float:
    return float(t == 0 or t % 10 != 0)


ALL = (
    RecurrentFault(
        name="layer-norm-of-each-gate",
        story="Each gate is normalized by itself; the paper takes one statistic over all.",
        source="tensorflow/tensorflow#15861",
        damages=OUTPUT,
        concerns=layer_lstm,
        unrolled=lambda u: replace(u, blocks=(1, 1, 1, 1)),
    ),
    RecurrentFault(
        name="gates-and-candidate-together",
        story="One statistic is taken over the gates and the candidate of a GRU.",
        source="Ba, Kiros, Hinton 2016, eq. 23",
        damages=OUTPUT,
        concerns=lambda e: not e.over_cases and len(e.cell.blocks) > 1,
        unrolled=lambda u: replace(u, blocks=(3,)),
    ),
    RecurrentFault(
        name="statistics-over-time",
        story="The input's norm takes its statistics over cases and steps: later inputs change earlier outputs.",
        source="Laurent and others 2015, section 3.2",
        damages=OUTPUT,
        concerns=lambda e: stepwise(e) and INPUT in e.places,
        entry=lambda e: replace(e, over_time=True),
    ),
    RecurrentFault(
        name="statistics-of-each-frame",
        story="The input's norm takes its statistics at each step, where they are due over the whole sequence.",
        source="Amodei and others 2015, section 3.2",
        damages=OUTPUT,
        concerns=lambda e: e.over_time,
        entry=lambda e: replace(e, over_time=False),
    ),
    RecurrentFault(
        name="batch-norm-for-layer-norm",
        story="Statistics are taken over the cases of a batch, not over the units of a case.",
        source="Ba, Kiros, Hinton 2016, section 3",
        damages=OUTPUT,
        concerns=lambda e: not e.over_cases,
        entry=lambda e: replace(e, over_cases=True),
        before=lambda case, entry: case.but(training=True),
    ),
    RecurrentFault(
        name="recurrent-mean-not-subtracted",
        story="The norm divides, and does not subtract the mean.",
        source="Zhang and Sennrich 2019, eq. 4",
        damages=OUTPUT,
        concerns=always,
        steps=lambda s: replace(s, center=_unlike),
    ),
    RecurrentFault(
        name="recurrent-variance-unbiased",
        story="The variance that normalizes divides by one less than the number of entries.",
        source="torch.var, unbiased by default",
        damages=OUTPUT,
        concerns=always,
        steps=_unbiased,
    ),
    RecurrentFault(
        name="recurrent-eps-outside-root",
        story="Divides by sqrt(v) + eps.",
        source="tracel-ai/burn#2185",
        damages=OUTPUT,
        concerns=always,
        contract=lambda c: replace(c, eps_place="outside"),
    ),
    RecurrentFault(
        name="recurrent-eps-hard-coded",
        story="Adds 1e-3, whatever eps is.",
        source="torch.nn.LayerNorm, eps",
        damages=OUTPUT,
        concerns=always,
        steps=_with_eps(1e-3),
        others=tuple(map(_with_eps, (1e-5, 1e-6, 1e-8, 1e-12, 0.0))),
    ),
    RecurrentFault(
        name="gradient-cut-at-each-step",
        story="The state is detached at each step: no gradient goes back in time, but through the cell.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=always,
        unrolled=lambda u: replace(u, back=lambda t: 0.0),
    ),
    RecurrentFault(
        name="gradient-cut-at-every-second-step",
        story="The state and the cell are detached at every second step, as truncation does without being asked.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=always,
        unrolled=lambda u: replace(u, back=lambda t: float(t % 2), cell_back=lambda t: float(t % 2)),
    ),
    RecurrentFault(
        name="gradient-cut-every-ten-steps",
        story="The state and the cell are detached every ten steps: shorter series have the right gradient.",
        source="truncated backpropagation through time, Williams and Peng 1990, with a length that nobody asked for",
        damages=GRADIENT,
        concerns=always,
        unrolled=lambda u: replace(u, back=_but_each_tenth, cell_back=_but_each_tenth),
    ),
    RecurrentFault(
        name="cell-gradient-cut",
        story="The cell is detached at each step.",
        source="Cooijmans and others 2016, section 4",
        damages=GRADIENT,
        concerns=lstm,
        unrolled=lambda u: replace(u, cell_back=lambda t: 0.0),
    ),
    RecurrentFault(
        name="statistics-detached",
        story="Mean and variance of each step are constants to the gradient.",
        source="Ioffe and Szegedy 2015, section 2",
        damages=GRADIENT,
        concerns=always,
        contract=lambda c: replace(c, gradient="statistics-constant"),
    ),
    RecurrentFault(
        name="step-mean-detached",
        story="The gradient does not pass through the mean of a step.",
        source="Ioffe and Szegedy 2015, section 2",
        damages=GRADIENT,
        concerns=always,
        contract=lambda c: replace(c, gradient="mean-constant"),
    ),
)
