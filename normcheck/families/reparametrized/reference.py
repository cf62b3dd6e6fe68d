"""What a layer must compute before and after a refresh and a step, and how far a correct one may be off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized import affine, bounds, perceptron
from normcheck.families.reparametrized.affine import GEOMETRIES, AffineGeometry, lifted
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.perceptron import Weights


@dataclass(frozen=True, slots=True, eq=False)
class Stepped:
    """Outputs on the probe after a refresh with the first batch and a step on the second; off: of one refresh and step.

    resolved: whether first-order analysis holds.
    """

    y: Array
    off: Array
    resolved: bool


class ReparametrizedTruth(Protocol):
    """One case, answered."""

    def given(self) -> Array:
        """Outputs of the case's weights on the probe."""
        ...

    def kept(self, batch: int | None) -> Array:
        """What these may be off by in the coordinates of a batch; None: before any refresh."""
        ...

    def stepped(self) -> Stepped:
        """After a refresh and a step."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Affine:
    entry: Reparametrized
    case: ReparametrizedCase

    @property
    def _matrix(self) -> Array:
        return np.column_stack(self.case.weights)

    def _geometry(self, batch: int | None) -> AffineGeometry:
        if batch is None:
            return affine.flat(self.case.probe.shape[1], len(self.case.weights[0]))
        return GEOMETRIES[self.entry.geometry](*self.case.batches[batch], self.case.damping)

    def given(self) -> Array:
        return lifted(self.case.probe) @ self._matrix.T

    def kept(self, batch: int | None) -> Array:
        return bounds.function(self._matrix, self._geometry(batch), self.case.probe, self.case.format.u)

    def stepped(self) -> Stepped:
        case, g, u = self.case, self._geometry(0), self.case.format.u
        after = self._matrix - case.rate * affine.move(g, *case.batches[1])
        slip = bounds.slips(g, case.batches[0][0], u)
        off = bounds.step(g, slip, case.batches[1], case.probe, case.rate, u)
        off = off + self.kept(0) + bounds.function(after, g, case.probe, u)
        return Stepped(lifted(case.probe) @ after.T, off, slip.resolved)


@dataclass(frozen=True, slots=True, eq=False)
class _Perceptron:
    case: ReparametrizedCase

    @property
    def _weights(self) -> Weights:
        inner, bias, outer, short, shift = self.case.weights
        return inner, bias, outer, short, shift

    def given(self) -> Array:
        return perceptron.outputs(self._weights, perceptron.straight(self._weights), self.case.probe)

    def kept(self, batch: int | None) -> Array:
        straight = perceptron.straight(self._weights)
        bend = straight if batch is None else perceptron.chosen(self._weights, self.case.batches[batch][0])
        return bounds.outputs(self._weights, straight, bend, self.case.probe, self.case.format.u)

    def stepped(self) -> Stepped:
        case, straight = self.case, perceptron.straight(self._weights)
        bend = perceptron.chosen(self._weights, case.batches[0][0])
        settled = perceptron.compensated(self._weights, straight, bend)
        after = perceptron.stepped(settled, bend, *case.batches[1], case.rate)
        off = bounds.stepped(settled, bend, case.batches[1], case.probe, case.rate, case.format.u)
        return Stepped(perceptron.outputs(after, bend, case.probe), off + self.kept(0), True)


def truth(entry: Reparametrized, case: ReparametrizedCase) -> ReparametrizedTruth:
    """The answer to a case."""
    return _Affine(entry, case) if entry.geometry else _Perceptron(case)
