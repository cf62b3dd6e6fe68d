"""Findings that a project has accepted, each with a reason, in its pyproject.toml.

    [[tool.normcheck.expected]]
    target = "mypkg.kernels:fast_layer_norm"
    check = "value"
    reason = "one pass over the data, issue 12"
    until = 2027-01-31

An accepted finding does not fail a run. An entry whose finding no longer occurs, or whose date has passed, does. A
baseline is a run saved as JSON: its findings are accepted too, and one that no longer occurs is reported only.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from normcheck.core.errors import UsageError, suggest
from normcheck.core.result import ERROR, PASSED, Outcome

KEYS = ("target", "check", "reason", "until")


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


def read(path: Path, checks: Iterable[str]) -> tuple[AcceptedFinding, ...]:
    """The entries of a pyproject.toml, if it exists. Raises `UsageError` for an invalid entry. checks: known names."""
    if not path.is_file():
        return ()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from None
    entries = table.get("tool", {}).get("normcheck", {}).get("expected", [])
    return tuple(_entry(entry, path.name, tuple(checks)) for entry in entries)


def _entry(entry: Mapping[str, Any], file: str, checks: tuple[str, ...]) -> AcceptedFinding:
    where = f"{file}: an expected finding"
    for key in entry:
        if key not in KEYS:
            raise UsageError(f"{where} has an unknown key {key!r}; {suggest(key, KEYS)}")
    for key in KEYS[:3]:
        if not str(entry.get(key, "")).strip():
            raise UsageError(f"{where} has no {key}: target, check and reason are required")
    if entry["check"] not in checks:
        raise UsageError(
            f"{where} names a check {entry['check']!r} that there is not; {suggest(entry['check'], checks)}"
        )
    until = entry.get("until")
    if until is not None and not isinstance(until, date):
        raise UsageError(f"{where} is accepted until {until!r}: write a date, as in until = 2027-01-31")
    return AcceptedFinding(str(entry["target"]), str(entry["check"]), str(entry["reason"]), until)


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


def write(path: Path, found: Iterable[tuple[str, str]], reason: str) -> int:
    """Append entries for pairs (target, check) that the file does not have yet; returns how many."""
    before = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries = before.get("tool", {}).get("normcheck", {}).get("expected", [])
    known = {(entry.get("target"), entry.get("check")) for entry in entries}
    new = [pair for pair in dict.fromkeys(found) if pair not in known]
    text = "".join(
        f"\n[[tool.normcheck.expected]]\ntarget = {json.dumps(target)}\ncheck = {json.dumps(check)}\n"
        f"reason = {json.dumps(reason)}\n"
        for target, check in new
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return len(new)
