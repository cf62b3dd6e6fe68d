"""What a run depends on beside its claims, as one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.limits import Isolation, Limits
from normcheck.core.replay import decode, encode, named
from normcheck.engine.accepted_findings import AcceptedFinding
from normcheck.engine.failing_cases import NOTHING, FailingCases
from normcheck.engine.search import EFFORTS, Effort
from normcheck.engine.smoke import SMOKE
from normcheck.families import CHECKS_BY_NAME


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to search, and under which circumstances. Raises `UsageError` for an unknown effort."""

    effort: str = "default"  # a key of `EFFORTS`
    seed: int | None = None  # None: the same cases in every run
    replay: tuple[str, Any] | None = None  # the one case to run: the name of its check, and its draw
    failing_cases: FailingCases = NOTHING  # cases that broke a law in earlier runs
    accepted: tuple[AcceptedFinding, ...] = ()  # findings that the project has accepted
    isolate: Isolation | None = None  # which implementations have a process of their own; None: no one has
    strict: bool = False  # whether warnings fail
    device: str = "cpu"  # where the tensors of cases lie, as torch writes it
    ranks: int | None = None  # processes that run an implementation of several; None: as its contract says

    def __post_init__(self) -> None:
        """Refuse an effort that does not exist."""
        if self.effort not in EFFORTS:
            raise UsageError(f"unknown effort {self.effort!r}; known: {', '.join(EFFORTS)}")

    @property
    def search_effort(self) -> Effort:
        """What a search is given."""
        few = self.effort == SMOKE
        return Effort(EFFORTS[self.effort], self.seed, self.failing_cases, shrinks=not few, few=few)

    def record(self) -> dict[str, Any]:
        """As the JSON document has it."""
        out: dict[str, Any] = {"effort": self.effort, "seed": self.seed}
        return out if self.replay is None else out | {"replay": encode(*self.replay)}


def isolation_limits(seconds: str, gigabytes: str, total: str) -> Limits:
    """The limits of isolation, from words. Raises `UsageError` for what is not a number above 0."""
    try:
        found = Limits(float(seconds), float(gigabytes), float(total))
    except ValueError:
        raise UsageError(f"the limits of isolation are numbers, not {seconds}, {gigabytes} and {total}") from None
    if not all(0.0 < limit < math.inf for limit in (found.seconds, found.gigabytes, found.total)):
        raise UsageError("the limits of isolation are above 0, and finite")
    return found


def replayed_case(text: str) -> tuple[str, Any]:
    """The check and the draw of a replay id. Raises `UsageError` for an unknown check or choice."""
    name = named(text)
    if name not in CHECKS_BY_NAME:
        text, name = shortened(text), shortened(name)
        raise UsageError(f"replay {text!r}: there is no check {name!r}; {suggest(name, CHECKS_BY_NAME)}")
    return decode(text, CHECKS_BY_NAME[name].space.plain)
