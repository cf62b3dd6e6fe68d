"""A recurrent net bound and ready to answer, and on which questions it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import Recurrent


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentAnswer:
    """What a net returned, in float64. y: (steps, cases, units); last: "h" and "c", (cases, units), where returned.

    grads: by role, and "x", "h", "c". means, variances: running statistics after the call, by place, (slots, width).
    changed: what the call changed that is not its own.
    """

    y: Array
    format: str
    last: Mapping[str, Array] = field(default_factory=dict)
    grads: Mapping[str, Array] = field(default_factory=dict)
    means: Mapping[str, Array] = field(default_factory=dict)
    variances: Mapping[str, Array] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """A net as it is built: its parameters by role, its running statistics, (slots, width), and trained extras."""

    parameters: Mapping[str, Array]
    means: Mapping[str, Array] = field(default_factory=dict)
    variances: Mapping[str, Array] = field(default_factory=dict)
    extra: tuple[str, ...] = ()  # trained parameters of a role that the entry has not


Call = Callable[[RecurrentCase, bool], RecurrentAnswer]
"""Answers a case; the flag asks for gradients too. Raises `CallError` in one sentence."""


@dataclass(frozen=True, slots=True)
class RecurrentDomain:
    """What a net accepts, found by trying."""

    roles: tuple[str, ...]  # of its parameters
    formats: tuple[str, ...] = ("float64", "float32")
    eps: float | None = None  # None: taken as an argument; else the fixed value
    momentum: float | None = None  # the same
    states: bool = True  # takes a first state
    noise: bool = False  # starts from noise in training where no first state is given
    lengths: bool = True  # takes the lengths of its cases
    batch_first: bool = True
    gradient: bool = True
    state: bool = False  # keeps running statistics
    slots: bool = False  # is told for how many steps
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentSubject:
    """A recurrent net of which checks can be asked.

    fresh: a net as built, for a case's sizes. reloaded: what a second net answers to a case in evaluation, after it
    loaded what the first saved when it had been trained on that case; with the running statistics of the first.
    """

    name: str
    entry: Recurrent
    contract: Contract
    domain: RecurrentDomain
    call: Call
    fresh: Callable[[RecurrentCase], Fresh]
    reloaded: Callable[[RecurrentCase], RecurrentAnswer]

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
