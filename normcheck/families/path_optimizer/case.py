"""One net with the gradients that an optimizer is given, and how far a correct step may be off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT64, Array, Format
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.reference import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerCase:
    """A ReLU net at the moment of a step; every number is representable in the format.

    parameters, and each of gradients: weights (outputs, inputs) in the order of the layers, each followed by its bias
    where there is one. gradients: those of the first step, the second, ... x: (cases, inputs). factors: of the nodes of
    each hidden layer.
    """

    parameters: Parameters
    gradients: tuple[Parameters, ...]
    x: Array
    rate: float
    factors: tuple[Array, ...]
    format: Format
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> OptimizerCase:
        return replace(self, **changes)

    @property
    def rescaled(self) -> OptimizerCase:
        """The same function with its nodes rescaled: gradients go the other way."""
        inverse = tuple(1.0 / f for f in self.factors)
        return self.but(
            parameters=reference.rescaled(self.parameters, self.factors),
            gradients=tuple(reference.rescaled(g, inverse) for g in self.gradients),
        )

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        sizes = [self.x.shape[1], *(len(w) for w in reference.weights_of(self.parameters))]
        return {
            "nodes": "x".join(map(str, sizes)),
            "biases": len(self.parameters) > len(sizes) - 1,
            "format": self.format.name,
            "lr": self.rate,
            "steps": len(self.gradients),
            **self.drawn,
        }


def roundings(parameters: Sequence[Array]) -> float:
    """Roundings of kappa and of the step that one edge may collect.

    Sums of squares have no cancellation: each layer costs a square, a product and a sum of as many terms as it has
    nodes, running sums included, and both directions meet in kappa. Taken twice, for roots and squares on the way.
    """
    return 2.0 * (sum(sum(w.shape) + 6.0 for w in reference.weights_of(parameters)) + 4.0)


def step_bound(before: Sequence[Array], after: Sequence[Array], format: Format) -> Parameters:
    """What each parameter may be off by after a step, of the parameters' shapes: the step's own roundings and one sum.

    A learning rate is a double, and may be rounded to the format. The sum is one rounding, taken four times.
    """
    count = roundings(before)
    return tuple(
        format.u * (count * np.abs(b - a) + 4.0 * np.maximum(np.abs(a), np.abs(b))) + 4.0 * format.floor
        for b, a in zip(before, after, strict=True)
    )


def output_bound(parameters: Sequence[Array], errors: Sequence[Array], x: Array) -> Array:
    """What outputs may be off by if each parameter is off by its error, (cases, outputs).

    First order: |dh| grows by |W| |dh| + |dW| |h| in each layer, and a ReLU does not make it larger.
    """
    held = reference.activations(parameters, x)
    off = np.zeros_like(x)
    for level, ((weight, _), (error, shift)) in enumerate(
        zip(reference.layers(parameters), reference.layers(errors), strict=True)
    ):
        own = FLOAT64.u * (weight.shape[1] + 2.0)
        size = np.abs(held[level]) @ np.abs(weight).T
        off = off @ np.abs(weight).T + (np.abs(held[level]) + off) @ error.T + own * size
        off = off if shift is None else off + shift
    return off
