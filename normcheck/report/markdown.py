"""A run as markdown, for the summary of a job or a comment: verdicts, warnings, Table 1, causes with their findings."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from normcheck.report.badge import summary
from normcheck.report.problems import FAILS, WARNS, Problem, problems
from normcheck.report.terminal import EXTENDED_HEADS, HEADS, WORDS, extended_row, has_table_row

PLAIN = frozenset(string.ascii_letters + string.digits + " .,:/-=()")
MOST_CAUSES = 40
"""Causes that are written in full; of the others only the number is given. GitHub limits the size of a summary."""


def plain(value: object) -> str:
    """A text that markdown and HTML show unchanged: each character that could have a meaning is written as its number.

    >>> plain("a|b<c>")
    'a&#124;b&#60;c&#62;'
    """
    return "".join(c if c in PLAIN else f"&#{ord(c)};" if c.isprintable() else " " for c in str(value))


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document."""
    found = list(problems(run, root))
    failing, warned = ([one for one in found if one.level == level] for level in (FAILS, WARNS))
    warnings = [f"* {plain(f'{one.kind} {one.target}: {one.text}')}" for one in warned]
    head = [f"## normcheck: {summary(run)[0]}"]
    parts = [head, _table(*_verdicts(run)), warnings, _table(*_rows(run)), *_details(failing)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _verdicts(run: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    heads = ("implementation", "kind", "verdict", "causes", "warnings", "gradient", "findings", "numbers compared")
    rows = [
        [
            plain(one["target"]), plain(one["kind"]), plain(one["verdict"]),
            *(plain(", ".join(named["name"] for named in one.get(key, ()))) for key in ("causes", "warnings")),
            plain(one["gradient"]) if one["compared"] else "", str(len(one["findings"])), f"{one['compared']:,}",
        ]
        for one in run["implementations"]
    ]  # fmt: skip
    return heads, rows


def _rows(run: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Table 1 as measured; a cell that differs from the derived row is marked."""
    heads = ("Table 1, as measured", *(" ".join(head) for head in HEADS + EXTENDED_HEADS))
    rows = []
    for one in run["implementations"]:
        if has_table_row(one):
            cells = [WORDS.get(cell, "") + " (differs)" * differs for cell, differs in extended_row(one)]
            rows.append([plain(f"{one['kind']} {one['target']}"), *cells])
    return heads, rows


def _details(found: Sequence[Problem]) -> Iterator[list[str]]:
    for one in found[:MOST_CAUSES]:
        lines = "\n".join(plain(line) for line in one.text.splitlines())
        yield [f"<details><summary>{plain(one.title)}</summary>", "", f"<pre>{lines}</pre>", "", "</details>"]
    if len(found) > MOST_CAUSES:
        yield [f"{len(found) - MOST_CAUSES} more causes are in the record."]
