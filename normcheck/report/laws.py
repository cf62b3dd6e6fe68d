"""The laws of a record by topic: how many hold of those that were asked, and which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

FAILING = ("failed", "error")
ASKED = (*FAILING, "inconclusive", "passed")
"""The statuses of laws that were asked, those that matter most to a reader first."""


def topics(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The topics of all records, each once, but for those of which nothing was asked."""
    return list(dict.fromkeys(topic for one in records for topic, own in _asked(one) if own))


def _asked(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for topic, own in record.get("laws", {}).items():
        yield topic, {law: status for law, status in own.items() if status in ASKED}


def cells(record: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """For each topic its name, the worst status of its laws, and a count: of those that fail if some do; else of all.

    The status and the count are empty where nothing was asked.

    >>> some = {"laws": {"eps": {"eps-is-read": "failed", "eps-co-scaling": "passed", "eps-floor": "skipped"}}}
    >>> list(cells(some, ["eps"]))
    [{'topic': 'eps', 'status': 'failed', 'count': '1 of 2'}]
    """
    asked = dict(_asked(record))
    for topic in names:
        own = list(asked.get(topic, {}).values())
        worst = next((status for status in ASKED if status in own), "")
        bad = sum(status != "passed" for status in own)
        yield {"topic": topic, "status": worst, "count": f"{bad} of {len(own)}" if bad else str(len(own) or "")}


def listed(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each topic with its laws that were asked, those that matter most first: pairs of name and status."""
    for topic, own in _asked(record):
        if own:
            yield {"topic": topic, "laws": sorted(own.items(), key=lambda pair: ASKED.index(pair[1]))}
