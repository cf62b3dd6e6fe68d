"""The reference as a working optimizer, made of steps of which a fault replaces some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import ClosureCall, OptimizerCase, Parameters, weights_of


@dataclass(frozen=True, slots=True)
class OptimizerSteps:
    """How a step is taken; a fault replaces a part."""

    kappas: Callable[[Sequence[Array]], Parameters] = reference.kappas
    divided: Callable[[Array, Array], Array] = reference.divided
    decay: float = 0.0
    stale: bool = False  # the first kappa is kept
    turns: bool = False  # layers are stepped one after another, each with the kappa of the weights by then
    first_rate: bool = False  # the rate of the constructor is used, not that of the group
    every_group: bool = True  # each group has a rate; else that of the first is that of all
    called: int = 1  # how often the closure is called
    recording: bool = True  # the closure is called with gradients on
    returns: bool = True
    skips: bool = False  # a layer without gradient is left out of the paths
    writes: bool = False  # gradients are divided in place
    apart: bool = False  # each group is treated as a net of its own
    forgets: bool = False  # the options of a group are not loaded: it continues at a tenth of the rate


class WorkingRun:
    """The reference that steps the parameters of a net in the case's format, with some steps replaced."""

    def __init__(self, case: OptimizerCase, steps: OptimizerSteps, *, grouped: bool) -> None:
        self.steps, self.grouped, self.case = steps, grouped, case
        self.kind = np.dtype(case.format.name)
        self.held = [p.astype(self.kind) for p in case.parameters]
        self.given: list[Array | None] = [None for _ in self.held]
        self.rates = [case.rate] * len(self.held)
        self.kept: Parameters | None = None

    def parameters(self) -> Parameters:
        return tuple(p.astype(np.float64) for p in self.held)

    def gradients(self) -> tuple[Array | None, ...]:
        return tuple(None if g is None else g.astype(np.float64) for g in self.given)

    def _kappas(self) -> Parameters:
        if self.steps.apart and self.grouped:
            return tuple(self.steps.kappas((p,))[0] for p in self.held)
        if self.steps.skips:
            present = [p for p, g in zip(self.held, self.given, strict=True) if g is not None]
            fits = all(a.shape[0] == b.shape[1] for a, b in pairwise(weights_of(present)))
            found = iter(self.steps.kappas(present) if fits else [np.ones_like(p) for p in present])
            return tuple(np.ones_like(p) if g is None else next(found)
                         for p, g in zip(self.held, self.given, strict=True))  # fmt: skip
        now = self.steps.kappas(self.held)
        if self.steps.stale:
            self.kept = self.kept or now
            return self.kept
        return now

    def step(self, gradients: Sequence[Array | None]) -> None:
        self.given = [None if g is None else g.astype(self.kind) for g in gradients]
        kappas = self._kappas()
        for i, g in enumerate(self.given):
            if g is None:
                continue
            kappa = self._kappas()[i] if self.steps.turns else kappas[i]
            scaled = self.steps.divided(g, kappa)
            rate = self.kind.type(self.case.rate if self.steps.first_rate else self.rates[i * self.steps.every_group])
            self.held[i] = self.held[i] - rate * (scaled + self.kind.type(self.steps.decay) * self.held[i])
            if self.steps.writes:
                self.given[i] = scaled

    def step_with_closure(self, gradients: Sequence[Array], loss: float) -> ClosureCall:
        for _ in range(self.steps.called):
            self.step(gradients)
        return ClosureCall(self.steps.called, self.steps.recording, loss if self.steps.returns else None)

    def set_rate(self, rate: float) -> None:
        self.rates = [rate] * len(self.held)

    def set_rates(self, rates: Sequence[float]) -> None:
        self.rates = list(rates)

    def resume(self) -> None:
        self.kept = None  # the new optimizer has cached nothing
        if self.steps.forgets:
            self.rates = [rate / 10.0 for rate in self.rates]
