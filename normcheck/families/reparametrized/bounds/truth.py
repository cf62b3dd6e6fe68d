"""The right answer to a case, before and after a refresh and a step, with what a correct layer may be off by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.bounds import affine as affine_bounds
from normcheck.families.reparametrized.bounds import perceptron as perceptron_bounds
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.reference import affine, perceptron
from normcheck.families.reparametrized.reference.affine import AffineGeometry, Estimate, lifted
from normcheck.families.reparametrized.reference.perceptron import LinearPart, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Stepped:
    """Outputs on the probe after a refresh with the first batch and a step on the second, (cases, outputs).

    off: what they may be off by. resolved: whether first-order analysis holds.
    """

    y: Array
    off: Array
    resolved: bool


class ReparametrizedTruth(Protocol):
    """The right outputs on the probe of one case, and what they may be off by."""

    def given(self) -> Array:
        """Outputs of the case's weights on the probe."""
        ...

    def kept(self, batch: int | None) -> Array:
        """What these may be off by after a refresh with a batch; None: before any refresh."""
        ...

    def stepped(self) -> Stepped:
        """Outputs after a refresh and a step."""
        ...

    def sent(self) -> Array:
        """The gradient by the inputs of the second batch, (cases, inputs); a refresh leaves it as it is."""
        ...

    def off_sent(self, batch: int | None) -> Array:
        """What that may be off by after a refresh with a batch; None: before any refresh."""
        ...

    def off_averaged(self) -> Array:
        """What outputs may be off by after a step on the second batch, if the first one counted for all or nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Affine:
    estimate: Estimate
    case: ReparametrizedCase

    @property
    def _matrix(self) -> Array:
        return np.column_stack(self.case.weights)

    def _geometry(self, batch: int | None) -> AffineGeometry:
        if batch is None:
            return affine.flat(self.case.probe.shape[1], len(self.case.weights[0]))
        return self.estimate(*self.case.batches[batch], self.case.damping)

    def given(self) -> Array:
        return lifted(self.case.probe) @ self._matrix.T

    def kept(self, batch: int | None) -> Array:
        return affine_bounds.function(self._matrix, self._geometry(batch), self.case.probe, self.case.format.u)

    def stepped(self) -> Stepped:
        return self._stepped(0)

    def _stepped(self, batch: int | None) -> Stepped:
        case, g, u = self.case, self._geometry(batch), self.case.format.u
        after = self._matrix - case.rate * affine.move(g, *case.batches[1])
        errors = affine_bounds.geometry_errors(g, case.batches[0][0], u)
        off = affine_bounds.step(g, errors, case.batches[1], case.probe, case.rate, u)
        off = off + self.kept(batch) + affine_bounds.function(after, g, case.probe, u)
        return Stepped(lifted(case.probe) @ after.T, off, errors.resolved)

    def sent(self) -> Array:
        return np.asarray(self.case.batches[1][1] @ self.case.weights[0])

    def off_sent(self, batch: int | None) -> Array:
        return affine_bounds.sent(self._matrix, self._geometry(batch), self.case.batches[1][1], self.case.format.u)

    def off_averaged(self) -> Array:
        return self._stepped(0).off + self._stepped(None).off + self.kept(2)


@dataclass(frozen=True, slots=True, eq=False)
class _Perceptron:
    case: ReparametrizedCase

    @property
    def _weights(self) -> Weights:
        inner, bias, outer, short, shift = self.case.weights
        return inner, bias, outer, short, shift

    def given(self) -> Array:
        return perceptron.outputs(self._weights, perceptron.none(self._weights), self.case.probe)

    def kept(self, batch: int | None) -> Array:
        plain, linear = perceptron.none(self._weights), self._linear(batch)
        return perceptron_bounds.outputs(self._weights, plain, linear, self.case.probe, self.case.format.u)

    def stepped(self) -> Stepped:
        return self._stepped(0)

    def _linear(self, batch: int | None) -> LinearPart:
        if batch is None:
            return perceptron.none(self._weights)
        return perceptron.chosen(self._weights, self.case.batches[batch][0])

    def _stepped(self, batch: int | None) -> Stepped:
        case, plain, linear = self.case, perceptron.none(self._weights), self._linear(batch)
        settled = perceptron.compensated(self._weights, plain, linear)
        after = perceptron.stepped(settled, linear, *case.batches[1], case.rate)
        off = perceptron_bounds.stepped(settled, linear, case.batches[1], case.probe, case.rate, case.format.u)
        return Stepped(perceptron.outputs(after, linear, case.probe), off + self.kept(batch), True)

    def sent(self) -> Array:
        (x, dy), weights = self.case.batches[1], self._weights
        slope = 1.0 - np.tanh(perceptron.arriving(weights, x)) ** 2
        return np.asarray((dy @ weights[2] * slope) @ weights[0] + dy @ weights[3])

    def off_sent(self, batch: int | None) -> Array:
        return perceptron_bounds.sent(self._weights, self._linear(batch), self.case.batches[1], self.case.format.u)

    def off_averaged(self) -> Array:
        return self._stepped(0).off + self._stepped(None).off + self.kept(2)


def truth(entry: Reparametrized, case: ReparametrizedCase) -> ReparametrizedTruth:
    """The right answer to a case."""
    return _Perceptron(case) if entry.geometry is None else _Affine(entry.geometry, case)


def difference(one: Array, other: Array) -> Array:
    """Of two outputs that are compared with each other, each off by its own bound."""
    return one + other


def refreshed_after_step(right: ReparametrizedTruth) -> Array:
    """Of the function before and after a refresh with the third batch that follows a step.

    Outputs before are off by the step's bound; both are off by the roundings of weights after the step, which are at
    most four times as large as those before: the rate is chosen so that a step is about as large as the weights.
    """
    return right.stepped().off + 4.0 * (right.kept(0) + right.kept(2))


def mapped(outer: Array, one: Stepped, other: Stepped) -> Array:
    """Of outputs that are mapped by a matrix, (outputs, outputs), against those of the mapped layer."""
    return np.asarray(np.abs(outer).sum(axis=1).max() * one.off + other.off)


def length(right: ReparametrizedTruth, shape: tuple[int, ...]) -> Array:
    """Of the length of [W b]'s change in a step, from differences of outputs of that shape before and after it.

    A length is off by no more than the length of the errors: those of both outputs, and of the bias that is subtracted
    from each.
    """
    return np.asarray(np.linalg.norm(np.broadcast_to(2.0 * right.stepped().off, shape)) * 2.0)
