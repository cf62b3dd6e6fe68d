"""One series for a recurrent net, the answer to it, and a new net: arrays and numbers, no functions of a net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT64, Array, Format


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentCase:
    """Arrays are float64 with values that the format can hold.

    x: (steps, cases, inputs). h, c: the first state, (cases, units), or None. parameters: by role, weights
    (gates units, inputs) and (gates units, units), vectors (gates units,) or (units,). means, variances: running
    statistics by place, (slots, width); a slot is a step, or all of them. lengths: (cases,), steps of each case.
    dy: cotangent of the outputs, (steps, cases, units); dh, dc: of the last state.
    """

    x: Array
    parameters: Mapping[str, Array]
    eps: float = 1e-5
    format: Format = FLOAT64
    h: Array | None = None
    c: Array | None = None
    lengths: Array | None = None
    training: bool = True
    means: Mapping[str, Array] = field(default_factory=dict)
    variances: Mapping[str, Array] = field(default_factory=dict)
    momentum: float = 0.1
    batch_first: bool = False  # the net gets x as (cases, steps, inputs)
    dy: Array | None = None
    dh: Array | None = None
    dc: Array | None = None
    drawn: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The length of the series."""
        return int(self.x.shape[0])

    @property
    def cases(self) -> int:
        """How many series there are."""
        return int(self.x.shape[1])

    @property
    def units(self) -> int:
        """The size of the state."""
        return int(self.parameters["weight_hh"].shape[1])

    @property
    def slots(self) -> int:
        """How many running statistics a norm keeps: T_max of Cooijmans 2016."""
        return int(next(iter(self.means.values())).shape[0]) if self.means else self.steps

    @property
    def live(self) -> Array:
        """Which cases have an input at each step, (steps, cases)."""
        if self.lengths is None:
            return np.ones((self.steps, self.cases), dtype=bool)
        out: Array = np.arange(self.steps)[:, None] < self.lengths[None, :]
        return out

    def but(self, **changes: Any) -> RecurrentCase:
        """The same case with other values."""
        return replace(self, **changes)

    def having(self, **parameters: Array) -> RecurrentCase:
        """The same case with other parameters."""
        return replace(self, parameters={**self.parameters, **parameters})

    @property
    def forward(self) -> RecurrentCase:
        """The same case without cotangents, for a call without gradients."""
        return self.but(dy=None, dh=None, dc=None)

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values, for messages and records."""
        out: dict[str, Any] = {"shape": list(self.x.shape), "format": self.format.name, "eps": self.eps}
        out |= {"units": self.units, "first state": self.h is not None}
        if not self.training:
            out["training"] = False
        if self.means:
            out["slots"] = self.slots
        if self.lengths is not None:
            out["lengths"] = [int(n) for n in self.lengths]
        if self.batch_first:
            out["batch first"] = True
        return out | self.drawn


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentAnswer:
    """What a net returned, in float64. y: (steps, cases, units); last: "h" and "c", (cases, units), if returned.

    grads: by role, and "x", "h", "c". means, variances: running statistics after the call, by place, (slots, width).
    changed: side effects of the call on its arguments.
    """

    y: Array
    format: str
    last: Mapping[str, Array] = field(default_factory=dict)
    grads: Mapping[str, Array] = field(default_factory=dict)
    means: Mapping[str, Array] = field(default_factory=dict)
    variances: Mapping[str, Array] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class InitialNet:
    """A new net: its parameters by role, and its running statistics by place, (slots, width)."""

    parameters: Mapping[str, Array]
    means: Mapping[str, Array] = field(default_factory=dict)
    variances: Mapping[str, Array] = field(default_factory=dict)
    extra: tuple[str, ...] = ()  # trained parameters whose role the entry does not have
