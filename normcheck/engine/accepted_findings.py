"""Findings that a project has accepted, each with a reason: how they change the outcome of a check.

An accepted finding does not fail a run. An entry whose finding no longer occurs, or whose date has passed, does. A
baseline is a run saved as JSON: its findings are accepted too, and one that no longer occurs is reported only.
`accepted_file` reads and writes the entries of a project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from normcheck.core.result import ERROR, PASSED, Outcome


@dataclass(frozen=True, slots=True)
class AcceptedFinding:
    """A finding of a target that a project has accepted."""

    target: str
    check: str
    reason: str
    until: date | None = None  # the last day on which it is accepted
    kind: str = ""  # empty: any kind
    baseline: bool = False  # from a saved run


def of_saved_run(name: str, run: Mapping[str, Any]) -> tuple[AcceptedFinding, ...]:
    """The findings of a saved run, and those that it had accepted itself. name: of its file."""
    return tuple(
        AcceptedFinding(str(one["target"]), check, f"in the baseline {name}", kind=str(one["kind"]), baseline=True)
        for one in run["implementations"]
        for check in dict.fromkeys([*(f["check"] for f in one["findings"]), *one.get("expected_findings", {})])
    )


def _concerns(entry: AcceptedFinding, outcome: Outcome) -> bool:
    same = (entry.target, entry.check) == (outcome.target, outcome.check)
    return same and entry.kind in ("", outcome.kind)


def settle(outcome: Outcome, entries: Iterable[AcceptedFinding], today: date) -> Outcome:
    """The outcome, given what a project has accepted: passed for an accepted finding, an error for a stale entry."""
    entry = next((e for e in entries if _concerns(e, outcome)), None)
    if entry is None or outcome.status == ERROR:
        return outcome
    if outcome.finding is None:
        if not outcome.compared:
            return outcome
        if entry.baseline:
            note = {f"baseline: {outcome.check}": f"{entry.reason}, and no longer found"}
            return replace(outcome, notes={**outcome.notes, **note})
        gone = f"the expected finding ({entry.reason}) is gone: remove it from pyproject.toml"
        return replace(outcome, status=ERROR, reason=gone)
    if entry.until is not None and today > entry.until:
        late = f"accepted until {entry.until} ({entry.reason}), which has passed"
        detail = f"{outcome.finding.detail}; {late}" if outcome.finding.detail else late
        return replace(outcome, finding=replace(outcome.finding, detail=detail))
    return replace(outcome, status=PASSED, finding=None, expected=entry.reason)
