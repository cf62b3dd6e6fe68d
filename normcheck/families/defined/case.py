"""One call of a defined normalizer, and the answer to it: arrays and numbers, no functions of an implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from normcheck.core.floats import Array, Format
from normcheck.normalizers.case import Linear, Move


@dataclass(frozen=True, slots=True, eq=False)
class DefinedCase:
    """The arguments of one call; arrays have values that the format can hold.

    x: the input. arrays: parameters by name, as implementations hold them. dy: the cotangent, of the output's shape.
    constants: eps and others by name. order: the layout in memory of x, a name from `core.layouts`. units_first: the
    units of an entry that has them in the last axis are moved to axis 1. graded: False saves a fault the reverse pass.
    """

    x: Array
    arrays: Mapping[str, Array]
    dy: Array
    constants: Mapping[str, Any]
    format: Format
    order: str = "contiguous"
    linear: Linear | None = None  # data and weights from which x follows
    move: Move | None = None  # how these are changed
    drawn: Mapping[str, Any] = field(default_factory=dict)
    units_first: bool = False
    graded: bool = True

    def but(self, **changes: Any) -> DefinedCase:
        """The same case with other values."""
        return replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        out = {"shape": list(self.x.shape), "format": self.format.name, **self.constants, **self.drawn}
        return out if self.order == "contiguous" else {**out, "layout": self.order}


COTANGENT = "dy"
"""The name of the cotangent among arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class DefinedAnswer:
    """Output, gradients by name ("x" for the input), state after the call, and the names of arguments that it changed.

    Gradients are left out where they were not requested, state where an implementation keeps none.
    """

    y: Array
    gradients: Mapping[str, Array] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
