"""A loaded optimizer: how it is started on a net, and which nets it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from normcheck.core.contract import Contract
from normcheck.core.floats import WIDE_NAMES, Array
from normcheck.families.path_optimizer.case import ClosureCall, OptimizerCase, Parameters
from normcheck.families.path_optimizer.entry import PathOptimizer


class OptimizerRun(Protocol):
    """One optimizer that steps the parameters of a net. Its methods raise `CallError` if the optimizer raises."""

    def parameters(self) -> Parameters:
        """The parameters as they are, in float64."""
        ...

    def gradients(self) -> tuple[Array | None, ...]:
        """The gradients that the parameters hold now."""
        ...

    def step(self, gradients: Sequence[Array | None]) -> None:
        """One step with these gradients; None for a parameter without gradient."""
        ...

    def step_with_closure(self, gradients: Sequence[Array], loss: float) -> ClosureCall:
        """One step whose closure sets the gradients and returns the loss."""
        ...

    def set_rate(self, rate: float) -> None:
        """A new learning rate in every group, as a scheduler sets it."""
        ...

    def set_rates(self, rates: Sequence[float]) -> None:
        """A learning rate for each parameter, each of which is in a group of its own."""
        ...

    def resume(self) -> None:
        """Continue with a new optimizer on the same parameters, after it has loaded the saved state of this one."""
        ...


@dataclass(frozen=True, slots=True)
class OptimizerDomain:
    """What an optimizer accepts, found by steps on small nets."""

    formats: tuple[str, ...] = WIDE_NAMES
    biases: bool = True  # takes parameters of one axis
    groups: bool = True  # takes a group for each layer
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerSubject:
    """An optimizer that checks can start.

    start: an optimizer on the net of a case, and whether each parameter is in a group of its own.
    """

    name: str
    entry: PathOptimizer
    contract: Contract
    domain: OptimizerDomain
    start: Callable[[OptimizerCase, bool], OptimizerRun]

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
