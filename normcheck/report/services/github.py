"""A run as annotations of GitHub Actions: lines that the runner reads from the output of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from normcheck.report.services.problems import FAILS, WARNS, problems

MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
PROPERTY = MESSAGE | {":": "%3A", ",": "%2C"}
MOST_ANNOTATIONS = 10
"""GitHub shows at most so many annotations of one level for a step."""


def _encoded(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(c, c) for c in text)


def commands(run: Mapping[str, Any], root: Path) -> Iterator[str]:
    """A line for each error, cause and warning; where there are too many of a level, a notice with their number."""
    found = list(problems(run, root))
    for level in (FAILS, WARNS):
        some = [one for one in found if one.level == level]
        for one in some[:MOST_ANNOTATIONS]:
            place = f"file={_encoded(one.place.path, PROPERTY)},line={one.place.line}"
            yield _command(level, one.title, one.text, place)
        if len(some) > MOST_ANNOTATIONS:
            yield _command("notice", "normcheck", f"{len(some)} {level}s in all; the job summary has them")


def _command(level: str, title: str, text: str, place: str = "") -> str:
    properties = ",".join(part for part in (place, f"title={_encoded(title, PROPERTY)}") if part)
    return f"::{level} {properties}::{_encoded(text, MESSAGE)}"
