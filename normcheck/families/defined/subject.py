"""A loaded implementation of a defined normalizer: how it is called, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.core.floats import WIDE_NAMES
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import Constant, DefinedNormalizer

ORDERS = ("transposed", "padded rows", "every second", "channels last")
"""The layouts in memory that are tried, other than contiguous."""


@dataclass(frozen=True, slots=True)
class DefinedDomain:
    """What an implementation accepts, found by calling it."""

    formats: tuple[str, ...] = WIDE_NAMES
    ranks: tuple[int, ...] = (2, 3, 4)
    fixed: Mapping[str, Constant] = field(default_factory=dict)  # constants that it does not take, and their values
    missing: frozenset[str] = frozenset()  # parameters that it does not take
    gradient: bool = True
    state: bool = True  # keeps the state of the entry
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason
    orders: tuple[str, ...] = ORDERS  # layouts in memory of the input, other than contiguous
    notes: Mapping[str, str] = field(default_factory=dict)  # what binding found, by what it is about


@dataclass(frozen=True, slots=True, eq=False)
class DefinedSubject:
    """An implementation that checks can call. All calls raise `CallError` in one sentence.

    call: of a case, and whether gradients are requested. successive: one layer called on cases in turn.
    """

    name: str
    entry: DefinedNormalizer
    contract: Contract
    domain: DefinedDomain
    call: Callable[[DefinedCase, bool], DefinedAnswer]
    successive: Callable[[Sequence[DefinedCase]], tuple[DefinedAnswer, ...]]

    @property
    def notes(self) -> Mapping[str, str]:
        """What binding found that is no fault and no lack, by what it is about."""
        return self.domain.notes

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent
