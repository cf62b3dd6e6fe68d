"""A loaded layer in refreshed coordinates: how it is made for a case, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.floats import WIDE_NAMES, Array
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized


class ReparametrizedRun(Protocol):
    """One layer that is called, refreshed and stepped. Its methods raise `CallError` if the layer raises."""

    def outputs(self, x: Array) -> Array:
        """Its outputs, (cases, outputs), for x (cases, inputs)."""
        ...

    def refresh(self, x: Array, dy: Array, /) -> None:
        """Choose new coordinates from a batch."""
        ...

    def step(self, x: Array, dy: Array, rate: float) -> None:
        """One step of gradient descent on the parameters that it had at its start."""
        ...

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of its only parameter of that shape."""
        ...

    def input_gradient(self, x: Array, dy: Array) -> Array:
        """The gradient of <dy, y> by x, which goes to the layer below."""
        ...

    def written(self) -> float:
        """The largest change of a parameter of a given layer since the start; 0 for one that is a part of this one."""
        ...

    def copied(self) -> ReparametrizedRun:
        """A deep copy."""
        ...

    def reloaded(self) -> ReparametrizedRun:
        """A layer that is made anew of the given ones, and has loaded the saved state of this one."""
        ...


@dataclass(frozen=True, slots=True)
class ReparametrizedDomain:
    """What a layer accepts, found by calling it."""

    formats: tuple[str, ...] = WIDE_NAMES
    undamped: bool = True  # accepts damping 0
    averages: bool = True  # takes the weight of a new batch in averages of statistics
    saves: bool = True  # has a state that can be saved and loaded
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class ReparametrizedSubject:
    """A layer that checks can make. start: a layer that computes what the case's weights do."""

    name: str
    entry: Reparametrized
    contract: Contract
    domain: ReparametrizedDomain
    start: Callable[[ReparametrizedCase], ReparametrizedRun]

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
