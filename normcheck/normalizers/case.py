"""One concrete question: arrays, eps, parameters, format, mode. Values only; knows no framework and no check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from normcheck.core.floats import FLOAT64, Array, Format
from normcheck.core.uses import PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Summed inputs before they are multiplied out: data (cases, space, inputs), weights (units, inputs)."""

    data: Array
    weights: Array


@dataclass(frozen=True, slots=True)
class Move:
    """The free choices of a transform: a factor, one case, one unit, one direction among the inputs."""

    delta: float
    case: int
    unit: int
    direction: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Arrays are float64 with values that the format can hold, so reference and implementation see the same numbers.

    x: the input, any shape; weight, bias: parameters or None; dy: the cotangent, shape of the output.
    """

    x: Array
    eps: float
    format: Format = FLOAT64
    weight: Array | None = None
    bias: Array | None = None
    dy: Array | None = None
    groups: int = 1
    normalized: int = 1  # number of trailing axes in normalized_shape
    dim: int | None = 0  # the axis of units, for weights
    part: float = 1.0  # share of the entries that the statistic reads
    training: bool = True
    running_mean: Array | None = None
    running_var: Array | None = None
    momentum: float = 0.1
    layouts: Mapping[str, str] = field(default_factory=dict)  # of x, weight, bias, dy: names from `layouts`
    watched: bool = False  # the answer must say what the call changed that is not its own
    use: str = PLAIN  # how the layer is called: a name from `uses`
    tangent: Array | None = None  # direction of derivatives beyond the first backward, shape of x
    linear: Linear | None = None
    move: Move | None = None
    program: tuple[str, ...] = ()  # what happens to one layer in turn: names from `programs`
    drawn: dict[str, Any] = field(default_factory=dict)  # what the recipe drew: enough to name the case

    def layout(self, name: str) -> str:
        """How an array of the case lies in memory."""
        return self.layouts.get(name, "contiguous")

    def but(self, **changes: Any) -> Case:
        """The same case with other values."""
        return replace(self, **changes)

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
