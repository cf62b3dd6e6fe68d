"""What happens while implementations are checked, as frozen values.

The stream for one implementation is `ClaimBound`, then `CheckStarted` and `CheckDone` for each check, then `ClaimDone`.
Events hold plain data only: numbers, strings and what is made of them. `record` and `event` convert to and from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from normcheck.core.result import Outcome, outcome

JOURNAL_SUFFIX = ".partial.jsonl"
"""Appended to the name of a run's document: the file that its events are written to as they come."""


@dataclass(frozen=True, slots=True)
class ClaimBound:
    """A target was loaded, bound and called; where it could not be, the outcome is an error with the reason."""

    outcome: Outcome

    @property
    def kind(self) -> str:
        """The kind that is claimed."""
        return self.outcome.kind

    @property
    def target(self) -> str:
        """What is checked, as it was named."""
        return self.outcome.target


@dataclass(frozen=True, slots=True)
class CheckStarted:
    """A check of one implementation begins."""

    kind: str
    target: str
    check: str


@dataclass(frozen=True, slots=True)
class CheckDone:
    """A check of one implementation has ended; `outcome.finding` is None unless its law does not hold."""

    outcome: Outcome

    @property
    def kind(self) -> str:
        """The kind that is claimed."""
        return self.outcome.kind

    @property
    def target(self) -> str:
        """What is checked, as it was named."""
        return self.outcome.target


@dataclass(frozen=True, slots=True)
class ClaimDone:
    """No further check of this implementation follows."""

    kind: str
    target: str


Event = ClaimBound | CheckStarted | CheckDone | ClaimDone

EVENTS: dict[str, type[ClaimBound | CheckStarted | CheckDone | ClaimDone]] = {
    "claim bound": ClaimBound,
    "check started": CheckStarted,
    "check done": CheckDone,
    "claim done": ClaimDone,
}
"""The types of events, by the name that their records have."""


def record(of: Event) -> dict[str, Any]:
    """An event as plain data that JSON can hold.

    >>> record(CheckStarted("layer_norm", "mine.py:f", "value"))
    {'event': 'check started', 'kind': 'layer_norm', 'target': 'mine.py:f', 'check': 'value'}
    """
    name = next(name for name, made in EVENTS.items() if isinstance(of, made))
    if isinstance(of, (ClaimBound, CheckDone)):
        return {"event": name, "outcome": of.outcome.record()}
    out = {"event": name, "kind": of.kind, "target": of.target}
    return out | {"check": of.check} if isinstance(of, CheckStarted) else out


def event(written: Mapping[str, Any]) -> Event:
    """The inverse of `record`."""
    values = {key: value for key, value in written.items() if key != "event"}
    if "outcome" in values:
        values["outcome"] = outcome(values["outcome"])
    return EVENTS[written["event"]](**values)


def outcomes_of(events: Iterable[Event]) -> list[Outcome]:
    """The outcomes that a stream reports, in its order."""
    return [one.outcome for one in events if isinstance(one, (ClaimBound, CheckDone))]
