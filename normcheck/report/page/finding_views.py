"""Findings as a page shows them: grouped by cause, each as labeled lines with its replay and its script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normcheck.report import causes
from normcheck.report.message import case_words, measured

SCRIPT_CHARACTERS = 600_000
"""Characters of reproduction scripts on a page, shared by its implementations, so that it opens fast; the record has
all of them."""


def figure(value: Any) -> str:
    """A number with three digits, a count with separators; a text unchanged.

    >>> figure(63911), figure(0.0123456), figure("inf")
    ('63,911', '0.0123', 'inf')
    """
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def cause_views(record: Mapping[str, Any], characters: int) -> Iterator[dict[str, Any]]:
    """Each cause in words, the wrong line beside the right one where they are known, and its findings.

    As many of these with their scripts as there is room for.
    """
    left = characters
    for cause, records in causes.grouped(record):
        findings = []
        for found in map(_finding, records):
            left -= len(found["script"])
            fits = left >= 0 or not found["script"]
            findings.append(found if fits else found | {"script": "", "left_out": True})
        if findings:
            yield {
                "title": causes.title(cause),
                "story": causes.cause(cause),
                "wrong": "\n".join(cause.get("wrong", ())),
                "right": cause.get("right", ""),
                "findings": findings,
            }


def _finding(record: Mapping[str, Any]) -> dict[str, Any]:
    numbers = measured(record, figure, figure)
    lines = [
        ("law", record["law"]),
        *numbers[:2],
        ("case", case_words(record["case"])),
        *numbers[2:],
        ("likely", record.get("likely", "")),
        ("if meant", f"declare {record['remedy']}" if record.get("remedy") else ""),
        ("source", record.get("source", "")),
        ("cause", record.get("cause", "")),
        ("smallest", record.get("smallest", "")),
    ]
    return {
        "check": record["check"],
        "lines": [(label, text) for label, text in lines if text],
        "replay": record["replay"],
        "script": "\n".join(record.get("script", [])),
        "left_out": False,
    }
