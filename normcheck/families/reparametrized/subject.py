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
        """One step of gradient descent on its parameters."""
        ...

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of its only parameter of that shape."""
        ...


@dataclass(frozen=True, slots=True)
class ReparametrizedDomain:
    """What a layer accepts, found by calling it."""

    formats: tuple[str, ...] = WIDE_NAMES
    undamped: bool = True  # accepts damping 0
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
