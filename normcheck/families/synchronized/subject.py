"""A loaded implementation that runs in several processes: how it is called, and which cases it accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from normcheck.core.contract import Contract
from normcheck.core.floats import FORMATS
from normcheck.families.synchronized.case import PLACEMENTS, WRAPPERS, RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.normalizers.normalizer import Normalizer

Answers = tuple[RankAnswer, ...]
"""The answers of all processes, by rank."""


@dataclass(frozen=True, slots=True)
class SynchronizedDomain:
    """What an implementation accepts, found by its parameters and by calling it."""

    formats: tuple[str, ...] = tuple(FORMATS)
    affine: bool = True  # takes weight, and bias where the entry has one
    bare: bool = True  # can be called without them
    evaluation: bool = True  # can normalize by running statistics
    running: bool = True  # updates them in training
    gradient: bool = True
    groups: bool = True  # takes a process group
    wrappers: tuple[str, ...] = WRAPPERS  # below which it can run; empty for what is no layer
    no_wrapper: str = ""  # why there are none
    shards: tuple[str, ...] = ()  # the only divisions that it can be given; empty: any
    placements: tuple[str, ...] = PLACEMENTS  # in which it can be given its input
    units: int = 0  # channels or width of a process's part, where it is fixed; 0: any
    momentum: float | None = None  # where it is fixed
    absent: Mapping[str, str] = field(default_factory=dict)  # what is not offered, with the reason


@dataclass(frozen=True, slots=True, eq=False)
class SynchronizedSubject:
    """An implementation that checks can call in as many processes as `contract.ranks` says.

    All calls raise `CallError` if it raises an exception in a process, and `LostError` if a process ends or does not
    respond; the text names the rank. call: of a case, and whether gradients are requested. successive: one layer,
    called on several cases in turn, which keeps the running statistics of the calls before. A case with a wrapper is
    given to a layer below that; if the next one has none, the layer's full state is saved, and loaded into one without.
    """

    name: str
    entry: Synchronized
    contract: Contract
    domain: SynchronizedDomain
    call: Callable[[RanksCase, bool], Answers]
    successive: Callable[[Sequence[RanksCase]], tuple[Answers, ...]]

    @property
    def normalizer(self) -> Normalizer:
        """What one process computes on the joined input."""
        return self.entry.normalizer

    @property
    def absent(self) -> Mapping[str, str]:
        """What is not offered, with the reason."""
        return self.domain.absent

    @property
    def notes(self) -> Mapping[str, str]:
        """Binding finds nothing to note."""
        return {}
