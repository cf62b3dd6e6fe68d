"""A layer in refreshed coordinates, bound and ready to answer, and on which questions it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized


class ReparametrizedLife(Protocol):
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
class ReparametrizedDomain:
    """What a layer accepts, found by trying."""

    formats: tuple[str, ...] = ("float64", "float32")
    undamped: bool = True  # damping 0
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class ReparametrizedSubject:
    """A layer of which checks can be asked. start: one that computes what the case's weights do."""

    name: str
    entry: Reparametrized
    contract: Contract
    domain: ReparametrizedDomain
    start: Callable[[ReparametrizedCase], ReparametrizedLife]

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
