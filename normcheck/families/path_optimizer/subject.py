"""An optimizer bound and ready to answer, and on which questions it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.path_optimizer.case import OptimizerCase
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.path_optimizer.reference import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class Called:
    """What a step did with a closure: how often it was called, with gradients on, and what was returned."""

    times: int
    recording: bool
    returned: float | None


class OptimizerRun(Protocol):
    """One optimizer at work on the parameters of a net. Raises `CallError` for what it refuses."""

    def parameters(self) -> Parameters:
        """The parameters as they are, in float64."""
        ...

    def gradients(self) -> tuple[Array | None, ...]:
        """What the parameters hold as their gradients."""
        ...

    def step(self, gradients: Sequence[Array | None]) -> None:
        """One step with these gradients; None is a parameter that has none."""
        ...

    def step_with_closure(self, gradients: Sequence[Array], loss: float) -> Called:
        """One step whose closure sets the gradients and returns the loss."""
        ...

    def set_rate(self, rate: float) -> None:
        """A new learning rate in every group, as a scheduler sets it."""
        ...

    def resume(self) -> None:
        """Go on with a new optimizer on the same parameters that has loaded what this one saves."""
        ...


@dataclass(frozen=True, slots=True)
class OptimizerDomain:
    """What an optimizer accepts, found by trying."""

    formats: tuple[str, ...] = ("float64", "float32")
    biases: bool = True  # takes parameters of one axis
    groups: bool = True  # takes a group for each layer
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerSubject:
    """An optimizer of which checks can be asked. start: an optimizer on a net; groups: one for each parameter."""

    name: str
    entry: PathOptimizer
    contract: Contract
    domain: OptimizerDomain
    start: Callable[[OptimizerCase, bool], OptimizerRun]

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
