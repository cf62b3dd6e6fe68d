"""What a run leaves open, in words that every report shares. Records of older runs leave nothing open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normcheck.report.reasons import with_reason

INCOMPLETE = "incomplete"
"""The verdict of an implementation of which a question that was asked has no answer."""


def unanswered(record: Mapping[str, Any]) -> str:
    """The checks of an implementation without an answer, by reason; empty if there are none.

    >>> unanswered({"missing": {"value": "not reached", "sign": "not reached"}})
    '2 checks without an answer: value, sign (not reached)'
    """
    missing = record.get("missing", {})
    if not missing:
        return ""
    return f"{_checks(len(missing))} without an answer: {with_reason(missing)}"


def _checks(count: int) -> str:
    return "1 check" if count == 1 else f"{count} checks"


def lines(run: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each thing that keeps a run from speaking for all of its checks."""
    records = run["implementations"]
    missing = sum(len(one.get("missing", ())) for one in records)
    if missing:
        ended = f"; the run has ended: {run['ended']}" if run.get("ended") else ""
        yield f"Incomplete: {_checks(missing)} without an answer{ended}."
    elif run.get("ended"):
        yield f"Incomplete: the run has ended: {run['ended']}."
    if run.get("deselected"):
        yield f"In part: without {_checks(run['deselected'])} that this run did not select."
    if not any(one["compared"] for one in records):
        yield "Nothing was compared."
