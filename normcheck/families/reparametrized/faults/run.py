"""The reference as a working layer in refreshed coordinates, made of steps of which a fault replaces some."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.reference import affine, perceptron
from normcheck.families.reparametrized.reference.affine import AffineGeometry, Estimate, flat, lifted
from normcheck.families.reparametrized.reference.perceptron import LinearPart, Weights
from normcheck.families.reparametrized.subject import ReparametrizedRun


def _itself(estimate: Estimate) -> Estimate:
    return estimate


def _unchanged(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """The function stays."""
    return matrix


def coordinates(g: AffineGeometry) -> Array:
    """T, with T^T T the geometry seen from x~."""
    values, vectors = np.linalg.eigh(g.metric)
    root = (vectors * np.sqrt(values)) @ vectors.T
    root[:, -1] -= root @ g.center
    return np.asarray(root)


@dataclass(frozen=True, slots=True)
class AffineSteps:
    """How an affine layer is refreshed and stepped; a fault replaces a part."""

    estimate: Callable[[Estimate], Estimate] = _itself
    carried: Callable[[AffineGeometry, AffineGeometry, Array], Array] = _unchanged
    moved: Callable[[AffineGeometry, Array, Array], Array] = affine.move
    batch: bool = False  # a call centers by the mean of its own inputs
    frozen: bool = False  # only the first refresh has an effect
    own: bool = False  # a step estimates the geometry from its own batch


class AffineRun:
    """An affine layer in the case's format."""

    def __init__(self, case: ReparametrizedCase, estimate: Estimate, steps: AffineSteps) -> None:
        self.case, self.steps, self.kind = case, steps, np.dtype(case.format.name)
        self.estimate = steps.estimate(estimate)
        self.matrix = np.column_stack(case.weights).astype(self.kind)
        self.geometry = flat(case.probe.shape[1], len(case.weights[0]))
        self.refreshed = 0

    def outputs(self, x: Array) -> Array:
        rows = lifted(x.astype(self.kind))
        if self.steps.batch:
            center = np.append(x.mean(axis=0), 0.0).astype(self.kind)
            rows = rows - center + self.geometry.center.astype(self.kind)
        return np.asarray(rows @ self.matrix.T, np.float64)

    def refresh(self, x: Array, dy: Array) -> None:
        self.refreshed += 1
        if self.steps.frozen and self.refreshed > 1:
            return
        after = self.estimate(x, dy, self.case.damping)
        self.matrix = self.steps.carried(self.geometry, after, self.matrix).astype(self.kind)
        self.geometry = after

    def step(self, x: Array, dy: Array, rate: float) -> None:
        g = self.estimate(x, dy, self.case.damping) if self.steps.own else self.geometry
        self.matrix = (self.matrix - rate * self.steps.moved(g, x, dy)).astype(self.kind)

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        found = affine.move(self.geometry, x, dy)
        return np.asarray(found[:, :-1] if len(shape) > 1 else found[:, -1])

    def input_gradient(self, x: Array, dy: Array) -> Array:
        return np.asarray(dy.astype(self.kind) @ self.matrix[:, :-1], np.float64)

    def forget(self) -> None:
        """Weights stay those of the coordinates of the last refresh, which are lost."""
        if not self.geometry.keeps:
            self.matrix = (self.matrix @ np.linalg.inv(coordinates(self.geometry))).astype(self.kind)
        self.geometry = flat(self.case.probe.shape[1], len(self.case.weights[0]))


@dataclass(frozen=True, slots=True)
class PerceptronSteps:
    """How a hidden layer of tanh is refreshed; a fault replaces a part."""

    chosen: Callable[[Weights, Array], LinearPart] = perceptron.chosen
    compensated: Callable[[Weights, LinearPart, LinearPart], Weights] = perceptron.compensated
    gradients: Callable[[Weights, LinearPart, Array, Array], Weights] = perceptron.gradients
    batch: bool = False  # a call chooses alpha and beta from its own inputs


class PerceptronRun:
    """A hidden layer of tanh with a linear part, in the case's format."""

    def __init__(self, case: ReparametrizedCase, steps: PerceptronSteps) -> None:
        self.steps, self.kind = steps, np.dtype(case.format.name)
        self.weights = self._cast(case.weights)
        self.linear = perceptron.none(self.weights)

    def _cast(self, weights: tuple[Array, ...]) -> Weights:
        inner, bias, outer, short, shift = (w.astype(self.kind) for w in weights)
        return inner, bias, outer, short, shift

    def outputs(self, x: Array) -> Array:
        linear = self.steps.chosen(self.weights, x) if self.steps.batch and self.linear.slope.any() else self.linear
        return np.asarray(perceptron.outputs(self.weights, linear, x.astype(self.kind)), np.float64)

    def refresh(self, x: Array, _dy: Array) -> None:
        after = self.steps.chosen(self.weights, x.astype(self.kind))
        self.weights = self._cast(self.steps.compensated(self.weights, self.linear, after))
        self.linear = after

    def step(self, x: Array, dy: Array, rate: float) -> None:
        found = self.steps.gradients(self.weights, self.linear, x.astype(self.kind), dy.astype(self.kind))
        self.weights = self._cast(tuple(w - rate * g for w, g in zip(self.weights, found, strict=True)))

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        found = self.steps.gradients(self.weights, self.linear, x.astype(self.kind), dy.astype(self.kind))
        return next(g.astype(np.float64) for g in found if g.shape == shape)

    def input_gradient(self, x: Array, dy: Array) -> Array:
        inner, _, outer, short, _ = self.weights
        slope = 1.0 - np.tanh(perceptron.arriving(self.weights, x.astype(self.kind))) ** 2 + self.linear.slope
        sent = dy.astype(self.kind)
        return np.asarray((sent @ outer * slope) @ inner + sent @ short, np.float64)

    def forget(self) -> None:
        self.linear = perceptron.none(self.weights)


Sent = Callable[[Array, AffineGeometry | None], Array]
"""Another gradient by the input, from the right derivatives and the geometry of an affine layer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a layer owes to the layers, optimizers and files around it; a fault replaces a part."""

    sent: Sent | None = None  # the derivatives by outputs that the gradient by the input is made of; None: the right
    below: Sent | None = None  # the gradient by the input; None: the right one
    replaces: bool = False  # a refresh makes new parameters
    unsaved: bool = False  # statistics are in no saved state
    hasty: bool = False  # takes the new statistics whatever their weight is
    writes: bool = False  # a refresh writes to the given layer


class WorkingLayer:
    """A layer in the case's format, among others."""

    def __init__(self, inner: AffineRun | PerceptronRun, case: ReparametrizedCase, around: Surroundings) -> None:
        self.inner, self.case, self.around, self.refreshed = inner, case, around, False
        self.outputs, self.gradient = inner.outputs, inner.gradient

    def refresh(self, x: Array, dy: Array) -> None:
        if self.case.newest or self.around.hasty:
            self.inner.refresh(x, dy)
        self.refreshed = True

    def step(self, x: Array, dy: Array, rate: float) -> None:
        if not (self.around.replaces and self.refreshed):
            self.inner.step(x, dy, rate)

    def input_gradient(self, x: Array, dy: Array) -> Array:
        geometry = self.inner.geometry if isinstance(self.inner, AffineRun) else None
        sent, below = self.around.sent, self.around.below
        found = self.inner.input_gradient(x, dy if sent is None else sent(dy, geometry))
        return found if below is None else below(found, geometry)

    def written(self) -> float:
        return float(self.around.writes and self.refreshed)

    def copied(self) -> ReparametrizedRun:
        inner = copy.copy(self.inner)  # whose arrays are replaced, never written to
        twin = WorkingLayer(inner, self.case, self.around)
        twin.refreshed = self.refreshed
        return twin

    def reloaded(self) -> ReparametrizedRun:
        inner = copy.copy(self.inner)
        if self.around.unsaved:
            inner.forget()
        return WorkingLayer(inner, self.case, self.around)


def start(
    case: ReparametrizedCase,
    entry: Reparametrized,
    affine_steps: AffineSteps,
    perceptron_steps: PerceptronSteps,
    around: Surroundings,
) -> ReparametrizedRun:
    """A layer of the entry's kind for a case."""
    inner = (
        PerceptronRun(case, perceptron_steps)
        if entry.geometry is None
        else AffineRun(case, entry.geometry, affine_steps)
    )
    return WorkingLayer(inner, case, around)
