"""Why a check fails, as text: for each cause one finding in full, the others in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from normcheck.report.message import finding, short_finding

Reported = dict[tuple[str, str, str], str]
"""The check whose finding was written in full, by kind, target and cause."""


def failure_text(
    outcomes: Iterable[Mapping[str, Any]], reported: Reported, *, in_full: bool = False, brief: bool = False
) -> str:
    """The text of all outcomes, as plain records, that failed, are errors or inconclusive; empty if none is.

    reported: what earlier texts have in full; extended here. in_full: write every finding in full. brief: the first
    finding of a cause too is written without what only helps to repair it.
    """
    texts = (
        _finding(one, reported, in_full=in_full, brief=brief)
        if one["finding"]
        else f"{one['target']}: {one['check']}: {one['reason']}"
        for one in outcomes
        if one["status"] in ("failed", "error", "inconclusive")
    )
    return "\n\n".join(dict.fromkeys(texts))


def cause_key(outcome: Mapping[str, Any]) -> tuple[str, str, str]:
    """Kind, target and cause of the finding of an outcome."""
    return outcome["kind"], outcome["target"], outcome["finding"].get("cause", "")


def is_known(outcome: Mapping[str, Any], reported: Reported) -> bool:
    """Whether a finding of the cause of this one was written in full, for another check."""
    key = cause_key(outcome)
    return bool(key[2]) and reported.get(key, outcome["check"]) != outcome["check"]


def _finding(outcome: Mapping[str, Any], reported: Reported, *, in_full: bool, brief: bool) -> str:
    key = cause_key(outcome)
    if is_known(outcome, reported) and not in_full:
        return short_finding(outcome["finding"], reported[key])
    reported.setdefault(key, outcome["check"])
    return finding(outcome["kind"], outcome["target"], outcome["finding"], brief=brief and not in_full)
