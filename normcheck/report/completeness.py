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
    counted = f"{len(missing)} check{'s' * (len(missing) != 1)} without an answer"
    return f"{counted}: {with_reason(missing)}"


def lines(run: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each thing that keeps a run from speaking for all of its checks."""
    records = run["implementations"]
    missing = sum(len(one.get("missing", ())) for one in records)
    if missing:
        ended = f"; the run has ended: {run['ended']}" if run.get("ended") else ""
        yield f"Incomplete: {missing} checks have no answer{ended}."
    elif run.get("ended"):
        yield f"Incomplete: the run has ended: {run['ended']}."
    if run.get("deselected"):
        yield f"In part: {run['deselected']} checks were not selected."
    if not any(one["compared"] for one in records):
        yield "Nothing was compared."
