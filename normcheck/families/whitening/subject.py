"""A whitening layer bound and ready to answer, and on which questions it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening


@dataclass(frozen=True, slots=True)
class WhiteningDomain:
    """What a layer accepts, found by trying."""

    formats: tuple[str, ...] = ("float64", "float32")
    ranks: tuple[int, ...] = (2, 3, 4)
    groups: bool = True  # takes a number of groups
    affine: bool = True  # takes weight and bias
    evaluation: bool = True  # takes given statistics
    running: bool = True  # updates them in training
    gradient: bool = True
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningSubject:
    """A layer of which checks can be asked. call: raises `CallError` for what it refuses; the flag asks gradients."""

    name: str
    entry: Whitening
    contract: Contract
    domain: WhiteningDomain
    call: Callable[[WhiteningCase, bool], WhiteningAnswer]

    @property
    def absent(self) -> Mapping[str, str]:
        return self.domain.absent
