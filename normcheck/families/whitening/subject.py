"""A loaded whitening layer: how it is called, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.core.floats import WIDE_NAMES
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening


@dataclass(frozen=True, slots=True)
class WhiteningDomain:
    """What a layer accepts, found by calling it."""

    formats: tuple[str, ...] = WIDE_NAMES
    ranks: tuple[int, ...] = (2, 3, 4)
    groups: bool = True  # takes a number of groups
    affine: bool = True  # takes weight and bias
    evaluation: bool = True  # can whiten by running statistics
    running: bool = True  # updates them in training
    gradient: bool = True
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningSubject:
    """A layer that checks can call. call: of a case, and whether gradients are requested; raises `CallError`."""

    name: str
    entry: Whitening
    contract: Contract
    domain: WhiteningDomain
    call: Callable[[WhiteningCase, bool], WhiteningAnswer]

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
