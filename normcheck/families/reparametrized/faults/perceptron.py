"""Faults of hidden layers of tanh with a linear part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.faults.base import FUNCTION, STALE, ReparametrizedFault
from normcheck.families.reparametrized.faults.run import PerceptronSteps
from normcheck.families.reparametrized.reference import perceptron
from normcheck.families.reparametrized.reference.perceptron import LinearPart, Weights


def _has_linear_part(entry: Reparametrized) -> bool:
    return not entry.affine


def _slope_up(weights: Weights, x: Array) -> LinearPart:
    found = perceptron.chosen(weights, x)
    a = perceptron.arriving(weights, x)
    return LinearPart(-found.slope, -(np.tanh(a) - found.slope * a).mean(axis=0))


def _shift_first(weights: Weights, x: Array) -> LinearPart:
    return replace(perceptron.chosen(weights, x), shift=-np.tanh(perceptron.arriving(weights, x)).mean(axis=0))


def _slope_at_mean(weights: Weights, x: Array) -> LinearPart:
    a = perceptron.arriving(weights, x)
    slope = -(1.0 - np.tanh(a).mean(axis=0) ** 2)
    return LinearPart(slope, -(np.tanh(a) + slope * a).mean(axis=0))


def _no_slope(weights: Weights, x: Array) -> LinearPart:
    shift = -np.tanh(perceptron.arriving(weights, x)).mean(axis=0)
    return LinearPart(np.zeros_like(shift), shift)


def _nothing_moved(weights: Weights, before: LinearPart, after: LinearPart) -> Weights:
    return weights


def _short_kept(weights: Weights, before: LinearPart, after: LinearPart) -> Weights:
    found = perceptron.compensated(weights, before, after)
    return (*found[:3], weights[3], found[4])


def _shift_kept(weights: Weights, before: LinearPart, after: LinearPart) -> Weights:
    found = perceptron.compensated(weights, before, after)
    return (*found[:4], weights[4])


def _from_zero(weights: Weights, before: LinearPart, after: LinearPart) -> Weights:
    """What was moved at the refresh before is not taken back."""
    return perceptron.compensated(weights, perceptron.none(weights), after)


def _slope_not_passed(weights: Weights, linear: LinearPart, x: Array, dy: Array) -> Weights:
    right = perceptron.gradients(weights, linear, x, dy)
    plain = perceptron.gradients(weights, replace(linear, slope=np.zeros_like(linear.slope)), x, dy)
    return (*plain[:2], *right[2:])


ALL = (
    ReparametrizedFault(
        name="refresh-slope-up",
        story="alpha has the wrong sign: the mean slope doubles.",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(chosen=_slope_up),
    ),
    ReparametrizedFault(
        name="refresh-shift-first",
        story="beta is chosen before alpha: the mean of alpha a stays in f.",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(chosen=_shift_first),
    ),
    ReparametrizedFault(
        name="refresh-slope-missing",
        story="Chooses beta alone: outputs are zero on average, slopes are not.",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(chosen=_no_slope),
    ),
    ReparametrizedFault(
        name="refresh-slope-at-mean",
        story="alpha is the slope at the mean of tanh, not the mean of slopes.",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(chosen=_slope_at_mean),
    ),
    ReparametrizedFault(
        name="refresh-bend-by-batch",
        story="A call chooses alpha and beta by its own inputs.",
        damages="outputs",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(batch=True),
    ),
    ReparametrizedFault(
        name="refresh-nothing-compensated",
        story="New alpha and beta under old shortcuts.",
        source=STALE,
        damages=FUNCTION,
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(compensated=_nothing_moved),
    ),
    ReparametrizedFault(
        name="refresh-shortcut-kept",
        story="The bias makes up for beta, the shortcut not for alpha.",
        source=STALE,
        damages=FUNCTION,
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(compensated=_short_kept),
    ),
    ReparametrizedFault(
        name="refresh-shift-kept",
        story="The shortcut makes up for alpha, the bias not for beta.",
        source=STALE,
        damages=FUNCTION,
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(compensated=_shift_kept),
    ),
    ReparametrizedFault(
        name="refresh-compensated-twice",
        story="Makes up for all of alpha and beta, not for what has changed.",
        source=STALE,
        damages=FUNCTION,
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(compensated=_from_zero),
    ),
    ReparametrizedFault(
        name="refresh-slope-not-passed",
        story="The gradient of B passes tanh alone, as if alpha were not there.",
        concerns=_has_linear_part,
        perceptron=PerceptronSteps(gradients=_slope_not_passed),
    ),
)
