"""A loaded recurrent net: how it is called and built, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.core.floats import WIDE_NAMES
from normcheck.families.recurrent.case import InitialNet, RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import Recurrent

Call = Callable[[RecurrentCase, bool], RecurrentAnswer]
"""Of a case, and whether gradients are requested. Raises `CallError` in one sentence."""


@dataclass(frozen=True, slots=True)
class RecurrentDomain:
    """What a net accepts, found by calling it."""

    roles: tuple[str, ...]  # of its parameters
    formats: tuple[str, ...] = WIDE_NAMES
    eps: float | None = None  # None: taken as an argument; else the fixed value
    momentum: float | None = None  # the same
    states: bool = True  # takes a first state
    noise: bool = False  # starts from noise in training where no first state is given
    lengths: bool = True  # takes the lengths of its series
    batch_first: bool = True
    gradient: bool = True
    state: bool = False  # keeps running statistics
    slots: bool = False  # takes the number of steps that have statistics
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentSubject:
    """A recurrent net that checks can call.

    initial: a new net, of a case's sizes. reloaded: the answer of a second net to a case in evaluation, after it loaded
    the saved state of a first one that was trained on that case; with the running statistics of the first.
    successive: the answers of one net to cases of one shape, one after another, with the parameters and statistics of
    the first case. Arrays of all cases lie in the same memory; only the first call records gradients.
    """

    name: str
    entry: Recurrent
    contract: Contract
    domain: RecurrentDomain
    call: Call
    initial: Callable[[RecurrentCase], InitialNet]
    reloaded: Callable[[RecurrentCase], RecurrentAnswer]
    successive: Callable[[Sequence[RecurrentCase]], tuple[RecurrentAnswer, ...]]

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
