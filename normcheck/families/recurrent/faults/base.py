"""What a fault of a recurrent net is, and to which entries one applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from normcheck.core.contract import Contract
from normcheck.families.recurrent.case import InitialNet, RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.reference.steps import RecurrentSteps
from normcheck.normalizers.reference.standardize import Steps

OUTPUT = "the output, and the gradients through it"
GRADIENT = "gradients alone: every output is right"
STATISTICS = "running statistics, and evaluation through them"
EVALUATION = "evaluation with running statistics"
CALLS = "the calls after the first"
PADDED = "series of different lengths"
START = "the net as it is built"


def _same(value: Any, *_: object) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentFault:
    """A known way to be wrong: another entry, another case, another way to unroll the net, or another answer."""

    name: str
    story: str
    source: str
    damages: str
    concerns: Callable[[Recurrent], bool]
    entry: Callable[[Recurrent], Recurrent] = _same
    before: Callable[[RecurrentCase, Recurrent], RecurrentCase] = _same
    others: tuple[Callable[[Steps], Steps], ...] = ()  # the steps of a norm with other constants
    contract: Callable[[Contract], Contract] = _same
    unrolled: Callable[[RecurrentSteps], RecurrentSteps] = _same
    steps: Callable[[Steps], Steps] = _same  # of a norm
    places: tuple[str, ...] | None = None  # the norms whose steps it changes; None: all
    after: Callable[[RecurrentAnswer, RecurrentCase], RecurrentAnswer] = _same
    initial: Callable[[InitialNet], InitialNet] = _same
    loaded: Callable[[RecurrentCase], RecurrentCase] = _same  # what a net has in evaluation that loaded a saved state
    later: Callable[[RecurrentCase, RecurrentCase, RecurrentAnswer], RecurrentCase] = _same
    """What a later call computes: of its case, the case before it, and the answer to that."""


def variants(fault: RecurrentFault, entry: Recurrent) -> Iterator[RecurrentFault]:
    """A fault as the catalog has it, with the other constants that code is written with, and each in one norm alone."""
    alike = [fault, *(replace(fault, steps=steps) for steps in fault.others)]
    yield from alike
    if fault.steps is not _same and len(entry.places) > 1:
        yield from (replace(one, places=(place,)) for one in alike for place in entry.places)


NONE = RecurrentFault(name="none", story="", source="", damages="", concerns=lambda entry: True)
"""A correct net."""


def always(entry: Recurrent) -> bool:
    """Every entry."""
    return True


def batch(entry: Recurrent) -> bool:
    """Entries whose cases share statistics."""
    return entry.over_cases


def stepwise(entry: Recurrent) -> bool:
    """Entries with running statistics of each step."""
    return entry.slotted


def lstm(entry: Recurrent) -> bool:
    """Entries with a cell beside the output."""
    return entry.cell.remembers


def layer_lstm(entry: Recurrent) -> bool:
    """The same, with layer norms."""
    return not entry.over_cases and entry.cell.remembers


def both(entry: Recurrent) -> bool:
    """Entries that normalize what the input sends and what the state sends apart."""
    return entry.both
