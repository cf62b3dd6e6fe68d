"""A layer in refreshed coordinates, bound and ready to answer, and on which questions it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.contract import Contract
from normcheck.floats import Array
from normcheck.refresh.entry import Refreshed
from normcheck.refresh.layer import Layer


class Life(Protocol):
    """One layer at work. Raises `CallError` for what it refuses."""

    def outputs(self, x: Array) -> Array:
        """What it computes, (cases, outputs)."""
        ...

    def refresh(self, x: Array, dy: Array, /) -> None:
        """New coordinates from a batch."""
        ...

    def step(self, x: Array, dy: Array, rate: float) -> None:
        """One step of gradient descent on whatever its parameters are."""
        ...

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of its parameter of that shape, which must be one."""
        ...


@dataclass(frozen=True, slots=True)
class Domain:
    """What a layer accepts, found by trying."""

    formats: tuple[str, ...] = ("float64", "float32")
    undamped: bool = True  # damping 0
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A layer of which checks can be asked. start: one that computes what the case's weights do."""

    name: str
    entry: Refreshed
    contract: Contract
    domain: Domain
    start: Callable[[Layer], Life]

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
