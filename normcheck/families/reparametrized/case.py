"""One layer with the batches that it is given: arrays and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array, Format


@dataclass(frozen=True, slots=True, eq=False)
class ReparametrizedCase:
    """Every number is representable in the format.

    weights: W (outputs, inputs) and b (outputs,) of an affine layer, or the `Weights` of `reference.perceptron`.
    batches: pairs of x (cases, inputs) and the loss's derivatives by outputs (cases, outputs). probe: (cases, inputs),
    on which functions are compared. damping: eps, or alpha.
    """

    weights: tuple[Array, ...]
    batches: tuple[tuple[Array, Array], ...]
    probe: Array
    rate: float
    damping: float
    format: Format
    newest: float = 1.0  # the weight of the new batch in averages of statistics: 1 or 0
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> ReparametrizedCase:
        """The same case with other values."""
        return replace(self, **changes)

    def mapped(self, inner: Array, shift: Array, outer: Array) -> ReparametrizedCase:
        """The same affine layer for inputs mapped to inner x + shift and outputs to outer y, outer orthogonal."""
        weight, bias = self.weights
        weight = outer @ weight @ np.linalg.inv(inner)
        return self.but(
            weights=(weight, outer @ bias - weight @ shift),
            batches=tuple((x @ inner.T + shift, dy @ outer.T) for x, dy in self.batches),
            probe=self.probe @ inner.T + shift,
        )

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        return {
            "shape": list(self.batches[0][0].shape),
            "format": self.format.name,
            "outputs": self.batches[0][1].shape[1],
            "damping": self.damping,
            "lr": self.rate,
            **({} if self.newest else {"weight of a new batch": self.newest}),
            **self.drawn,
        }
