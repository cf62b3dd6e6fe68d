"""A loaded whitening layer: how it is called, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    module: bool = True  # can be copied and saved
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningSubject:
    """A layer that checks can call. All calls raise `CallError` in one sentence.

    call: of a case, and whether gradients are requested. successive: one layer, called on cases of one shape in turn,
    with the parameters and statistics of the first case; inputs lie in the same memory, and only the first call records
    gradients. restored: the answers of several layers to the last case, after one was called on those before it: of
    that one, of a deep copy, and of a new layer that loaded its saved state.
    """

    name: str
    entry: Whitening
    contract: Contract
    domain: WhiteningDomain
    call: Callable[[WhiteningCase, bool], WhiteningAnswer]
    successive: Callable[[Sequence[WhiteningCase]], tuple[WhiteningAnswer, ...]]
    restored: Callable[[Sequence[WhiteningCase]], Mapping[str, WhiteningAnswer]]

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
