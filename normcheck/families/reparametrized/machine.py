"""The reference for layers in refreshed coordinates at work in a format, by rules of which a fault replaces a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized import affine, perceptron
from normcheck.families.reparametrized.affine import GEOMETRIES, AffineGeometry, flat, lifted
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.perceptron import Bend, Weights
from normcheck.families.reparametrized.subject import ReparametrizedLife

Estimate = Callable[[Array, Array, float], AffineGeometry]


def _itself(estimate: Estimate) -> Estimate:
    return estimate


def _whole(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """The function stays."""
    return matrix


@dataclass(frozen=True, slots=True)
class RefreshSteps:
    """How an affine layer is refreshed and stepped; a fault replaces a part."""

    estimate: Callable[[Estimate], Estimate] = _itself
    carried: Callable[[AffineGeometry, AffineGeometry, Array], Array] = _whole
    moved: Callable[[AffineGeometry, Array, Array], Array] = affine.move
    batch: bool = False  # a call centers by its own inputs
    frozen: bool = False  # only the first refresh counts
    own: bool = False  # a step estimates from its own batch


class _FaultyAffine:
    """The reference at work in the working format, by a rule."""

    def __init__(self, case: ReparametrizedCase, entry: Reparametrized, rule: RefreshSteps) -> None:
        self.case, self.rule, self.kind = case, rule, np.dtype(case.format.name)
        self.estimate = rule.estimate(GEOMETRIES[entry.geometry])
        self.matrix = np.column_stack(case.weights).astype(self.kind)
        self.geometry = flat(case.probe.shape[1], len(case.weights[0]))
        self.refreshed = 0

    def outputs(self, x: Array) -> Array:
        rows = lifted(x.astype(self.kind))
        if self.rule.batch:
            center = np.append(x.mean(axis=0), 0.0).astype(self.kind)
            rows = rows - center + self.geometry.center.astype(self.kind)
        return np.asarray(rows @ self.matrix.T, np.float64)

    def refresh(self, x: Array, dy: Array) -> None:
        self.refreshed += 1
        if self.rule.frozen and self.refreshed > 1:
            return
        after = self.estimate(x, dy, self.case.damping)
        self.matrix = self.rule.carried(self.geometry, after, self.matrix).astype(self.kind)
        self.geometry = after

    def step(self, x: Array, dy: Array, rate: float) -> None:
        g = self.estimate(x, dy, self.case.damping) if self.rule.own else self.geometry
        self.matrix = (self.matrix - rate * self.rule.moved(g, x, dy)).astype(self.kind)

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        found = affine.move(self.geometry, x, dy)
        return np.asarray(found[:, :-1] if len(shape) > 1 else found[:, -1])


@dataclass(frozen=True, slots=True)
class Habit:
    """How a hidden layer of tanh is refreshed; a fault replaces a part."""

    chosen: Callable[[Weights, Array], Bend] = perceptron.chosen
    compensated: Callable[[Weights, Bend, Bend], Weights] = perceptron.compensated
    gradients: Callable[[Weights, Bend, Array, Array], Weights] = perceptron.gradients
    batch: bool = False  # a call chooses alpha and beta by its own inputs


class _FaultyPerceptron:
    """The reference at work in the working format, by a habit."""

    def __init__(self, case: ReparametrizedCase, habit: Habit) -> None:
        self.habit, self.kind = habit, np.dtype(case.format.name)
        self.weights = self._cast(case.weights)
        self.bend = perceptron.straight(self.weights)

    def _cast(self, weights: tuple[Array, ...]) -> Weights:
        inner, bias, outer, short, shift = (w.astype(self.kind) for w in weights)
        return inner, bias, outer, short, shift

    def outputs(self, x: Array) -> Array:
        bend = self.habit.chosen(self.weights, x) if self.habit.batch and self.bend.slope.any() else self.bend
        return np.asarray(perceptron.outputs(self.weights, bend, x.astype(self.kind)), np.float64)

    def refresh(self, x: Array, _dy: Array) -> None:
        after = self.habit.chosen(self.weights, x.astype(self.kind))
        self.weights = self._cast(self.habit.compensated(self.weights, self.bend, after))
        self.bend = after

    def step(self, x: Array, dy: Array, rate: float) -> None:
        found = self.habit.gradients(self.weights, self.bend, x.astype(self.kind), dy.astype(self.kind))
        self.weights = self._cast(tuple(w - rate * g for w, g in zip(self.weights, found, strict=True)))

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        found = self.habit.gradients(self.weights, self.bend, x.astype(self.kind), dy.astype(self.kind))
        return next(g.astype(np.float64) for g in found if g.shape == shape)


def start(case: ReparametrizedCase, entry: Reparametrized, rule: RefreshSteps, habit: Habit) -> ReparametrizedLife:
    """A layer of the entry's kind, by a rule or by a habit."""
    return _FaultyAffine(case, entry, rule) if entry.geometry else _FaultyPerceptron(case, habit)
