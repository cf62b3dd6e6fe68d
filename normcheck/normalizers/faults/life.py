"""A layer of the reference that keeps running statistics over several calls; a fault replaces one of its hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array, Format
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call, Life, State


@dataclass(frozen=True, slots=True, eq=False)
class HeldStatistics:
    """The running statistics of a layer, and what else it keeps between calls."""

    mean: Array
    var: Array
    format: Format
    momentum: float | None
    count: int = 0  # training batches so far
    frozen: bool = False
    graph: bool = False  # whether the statistics have a history
    trained: bool | None = None  # whether the last call was a training call; None before the first


def factor(held: HeldStatistics) -> float:
    """The weight of the new batch in the update; the batch is counted already."""
    return 1.0 / held.count if held.momentum is None else held.momentum


def kept(before: HeldStatistics, after: HeldStatistics, case: Case) -> HeldStatistics:
    """What is kept after a call: the result of the call, but an empty batch changes nothing."""
    return after if case.x.size else before


def begun(held: HeldStatistics) -> HeldStatistics:
    """The initial running statistics of every layer: mean 0, variance 1."""
    return replace(held, mean=np.zeros_like(held.mean), var=np.ones_like(held.var), count=0, graph=False)


def done(held: HeldStatistics, operation: str, made: Case) -> HeldStatistics:
    """What a layer made for a case keeps after an operation between calls."""
    if operation in programs.MOMENTA:
        return replace(held, momentum=programs.MOMENTA[operation])
    if operation in programs.MOVES:
        format = programs.moved(made, operation).format
        return replace(held, format=format, mean=format.round(held.mean), var=format.round(held.var))
    if operation == programs.RENEW:
        return replace(begun(held), momentum=made.momentum, frozen=False)
    if operation == programs.RESET:
        return begun(held)
    return replace(held, frozen=operation == programs.FREEZE or (held.frozen and operation == programs.COPY))


@dataclass(frozen=True, slots=True)
class LayerHooks:
    """What a layer does between calls and with its statistics; each hook of a fault replaces one."""

    factor: Callable[[HeldStatistics], float] = factor
    kept: Callable[[HeldStatistics, HeldStatistics, Case], HeldStatistics] = kept
    done: Callable[[HeldStatistics, str, Case], HeldStatistics] = done


class FaultyLife:
    """A layer made of a call that takes running statistics and returns them; implements the protocol `Life`."""

    def __init__(self, call: Call, contract: Contract, hooks: LayerHooks, case: Case) -> None:
        assert case.running_mean is not None, "a life begins with running statistics"
        assert case.running_var is not None, "a life begins with running statistics"
        self._call, self._contract, self._hooks, self._made = call, contract, hooks, case
        self._held = HeldStatistics(case.running_mean, case.running_var, case.format, case.momentum)

    def call(self, case: Case, gradient: bool) -> Answer:
        held = self._held
        counted = replace(held, count=held.count + int(case.training))
        share = self._hooks.factor(counted) if case.training else 0.0
        if held.momentum is None and self._contract.momentum == "old":
            share = 1.0 - share
        answer = self._call(case.but(running_mean=held.mean, running_var=held.var, momentum=share), gradient)
        assert answer.running_mean is not None, "the reference returns running statistics"
        assert answer.running_var is not None, "the reference returns running statistics"
        after = replace(counted, mean=answer.running_mean, var=answer.running_var)
        self._held = replace(self._hooks.kept(held, after, case), trained=case.training)
        return answer

    def do(self, operation: str) -> None:
        self._held = self._hooks.done(self._held, operation, self._made)

    def state(self) -> State:
        held = self._held
        return State(held.mean, held.var, held.format.name, held.count, held.graph)


def of(call: Call, contract: Contract, hooks: LayerHooks) -> Callable[[Case], Life]:
    """Makes layers of the reference with these hooks."""
    return lambda case: FaultyLife(call, contract, hooks, case)
