"""One net with the gradients that an optimizer is given, and what a step with a closure did: arrays and numbers.

Parameters are a tuple in the order of the layers, input first: weights of shape (outputs, inputs), each followed by its
bias, (outputs,), if it has one. A bias is an edge from a node that is always one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array, Format

Parameters = tuple[Array, ...]


def weights_of(parameters: Sequence[Array]) -> list[Array]:
    """The matrices, in the order of the layers."""
    return [p for p in parameters if p.ndim == 2]


def layers(parameters: Sequence[Array]) -> list[tuple[Array, Array | None]]:
    """Weight and bias of each layer; None for a layer without bias."""
    out: list[tuple[Array, Array | None]] = []
    for p in parameters:
        if p.ndim == 2:
            out.append((p, None))
        else:
            out[-1] = (out[-1][0], p)
    return out


def rescaled(parameters: Sequence[Array], factors: Sequence[Array]) -> Parameters:
    """The net with what enters each hidden node multiplied by its factor, and what leaves it divided by it.

    factors: one array of positive numbers for each hidden layer. Gradients are rescaled with 1 / factors.
    """
    out: list[Array] = []
    level = -1
    hidden = len(weights_of(parameters)) - 1
    for p in parameters:
        level += p.ndim == 2
        head = factors[level] if level < hidden else np.ones(p.shape[0])
        if p.ndim == 2:
            tail = factors[level - 1] if level else np.ones(p.shape[1])
            out.append(p * head[:, None] / tail)
        else:
            out.append(p * head)
    return tuple(out)


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerCase:
    """A ReLU net before a step; every number is representable in the format.

    gradients: those of the first step, the second, ..., each of the parameters' shapes. x: (cases, inputs), inputs on
    which nets are compared. factors: for each hidden layer, what its nodes are multiplied by in the rescaled net.
    """

    parameters: Parameters
    gradients: tuple[Parameters, ...]
    x: Array
    rate: float
    factors: tuple[Array, ...]
    format: Format
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> OptimizerCase:
        """The same case with other values."""
        return replace(self, **changes)

    @property
    def rescaled(self) -> OptimizerCase:
        """The same function with its nodes rescaled, and its gradients by the inverse factors."""
        inverse = tuple(1.0 / f for f in self.factors)
        return self.but(
            parameters=rescaled(self.parameters, self.factors),
            gradients=tuple(rescaled(g, inverse) for g in self.gradients),
        )

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        sizes = [self.x.shape[1], *(len(w) for w in weights_of(self.parameters))]
        return {
            "nodes": "x".join(map(str, sizes)),
            "biases": len(self.parameters) > len(sizes) - 1,
            "format": self.format.name,
            "lr": self.rate,
            "steps": len(self.gradients),
            **self.drawn,
        }


@dataclass(frozen=True, slots=True, eq=False)
class ClosureCall:
    """What a step did with a closure: how often it was called, with gradients on, and what the step returned."""

    times: int
    recording: bool
    returned: float | None
