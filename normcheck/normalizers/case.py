"""One test case: arrays, eps, parameters, format, mode. Plain values; knows no framework and no check."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT64, Array, Format
from normcheck.core.uses import PLAIN

WEIGHT = "weight"
"""The name of the parameter that a transform of a module replaces by default."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear layer below a normalizer: data of shape (cases, space, inputs), weights (units, inputs)."""

    data: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class Move:
    """The free choices of a transform: a factor, a training case, a unit, and a vector with one entry per input."""

    delta: float
    case: int
    unit: int
    direction: tuple[float, ...]


NOT_ASKED = ("linear", "move", "drawn")
"""What a case holds beside the arguments of a call: where they come from."""


def _hashable(value: Any) -> Hashable:
    """A value of a case that can be a key: the bytes of an array, and the items of a mapping."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    out: Hashable = tuple(sorted(value.items())) if isinstance(value, Mapping) else value
    return out


@dataclass(frozen=True, eq=False)
class Case:
    """The arguments of one call of a layer, and how it is called.

    Arrays are float64 with values that the format can hold, so reference and implementation see the same numbers.
    x: the input, any shape; weight, bias: parameters or None; dy: the cotangent, of the shape of the output.
    """

    x: Array
    eps: float
    format: Format = FLOAT64
    weight: Array | None = None
    bias: Array | None = None
    dy: Array | None = None
    groups: int = 1
    normalized: int = 1  # number of trailing axes in normalized_shape
    units_first: bool = False  # the normalized axis is axis 1 of the input, not the last one
    dim: int | None = 0  # the axis of units, for weights
    part: float = 1.0  # fraction of the entries that the statistic reads
    training: bool = True
    running_mean: Array | None = None
    running_var: Array | None = None
    momentum: float = 0.1
    layouts: Mapping[str, str] = field(default_factory=dict)  # of x, weight, bias, dy: names from `core.layouts`
    watched: bool = False  # `Answer.changed` must list the side effects of the call
    use: str = PLAIN  # how the layer is called: a name from `core.uses`
    tangent: Array | None = None  # direction of derivatives beyond the first backward, shape of x
    linear: Linear | None = None
    move: Move | None = None
    parameter: str = WEIGHT  # the name of the parameter that a transform of a module replaces
    program: tuple[str, ...] = ()  # operations on one layer, in order: names from `programs`
    drawn: dict[str, Any] = field(default_factory=dict)  # the random choices of the recipe, enough to identify the case

    def layout(self, name: str) -> str:
        """The memory layout of an array of the case: a name from `core.layouts`."""
        return self.layouts.get(name, "contiguous")

    def but(self, **changes: Any) -> Case:
        """A copy of the case with some values replaced."""
        if not changes.keys() <= vars(self).keys():
            raise TypeError(f"a case has no {', '.join(changes.keys() - vars(self).keys())}")
        out = object.__new__(Case)
        vars(out).update(vars(self) | changes)  # cases are copied so often that `dataclasses.replace` is too slow
        return out

    def content(self) -> Hashable:
        """All that a call can depend on, as one value: equal for two cases that ask the same."""
        return tuple(_hashable(value) for name, value in vars(self).items() if name not in NOT_ASKED)

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values, for messages and records."""
        out: dict[str, Any] = {"shape": list(self.x.shape), "format": self.format.name, "eps": self.eps}
        out |= {"weight": self.weight is not None, "bias": self.bias is not None}
        if self.groups != 1:
            out["groups"] = self.groups
        if self.normalized != 1:
            out["normalized_axes"] = self.normalized
        if not self.training:
            out["training"] = False
        if any(name != "contiguous" for name in self.layouts.values()):
            out["layouts"] = dict(self.layouts)
        if self.use != PLAIN:
            out["use"] = self.use
        if self.program:
            out["program"] = list(self.program)
        return out | self.drawn
