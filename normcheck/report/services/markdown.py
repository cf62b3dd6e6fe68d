"""A run as markdown, for the summary of a job or a comment: verdicts, warnings, Table 1, causes with their findings."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from normcheck.report.services.badge import summary
from normcheck.report.services.problems import FAILS, WARNS, Problem, problems
from normcheck.report.terminal.implementation import EXTENDED_HEADS, HEADS, WORDS, extended_row, has_table_row

PLAIN = frozenset(string.ascii_letters + string.digits + " .,:/-=()")
LARGEST = 60_000
"""Most characters of the document. A comment of GitHub holds 65,536, and may have words around it."""

LEFT_OUT = "{} of {} lines and causes are left out here: the page (--norm-html) and the record (--norm-json) have all."


def plain(value: object) -> str:
    """A text that markdown and HTML show unchanged: each character that could have a meaning is written as its number.

    >>> plain("a|b<c>")
    'a&#124;b&#60;c&#62;'
    """
    return "".join(c if c in PLAIN else f"&#{ord(c)};" if c.isprintable() else " " for c in str(value))


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The document, of at most `LARGEST` characters: rows, warnings and causes that do not fit are left out whole."""
    found = list(problems(run, root))
    failing, warned = ([one for one in found if one.level == level] for level in (FAILS, WARNS))
    warnings = [f"* {plain(f'{one.kind} {one.target}: {one.text}')}" for one in warned]
    parts = [Part([f"## normcheck: {summary(run)[0]}", ""], [])]
    parts += [Part(*_table(*rows)) for rows in (_verdicts(run), _rows(run)) if rows[1]]
    parts.insert(2, Part([], warnings))
    parts += [Part([], [one]) for one in map(_details, failing)]
    return _fitted(parts)


class Part(NamedTuple):
    """A paragraph: its head, and pieces that may be left out from the end on."""

    head: list[str]
    pieces: list[str]


def _fitted(parts: Sequence[Part]) -> str:
    """The parts as one text, with as many pieces as fit, and a line that says how many do not."""
    lines: list[str] = []
    left = LARGEST - len(LEFT_OUT) - 40
    kept = 0
    for head, pieces in parts:
        left -= sum(len(line) + 1 for line in head) + 1
        room = left // 2 if len(pieces) > 1 else left  # rows leave half of the room to what follows
        fitting = []
        for piece in pieces:
            if len(piece) < room:
                fitting.append(piece)
                room -= len(piece) + 1
                left -= len(piece) + 1
        kept += len(fitting)
        if fitting or not pieces:
            lines += [*head, *fitting, ""]
    every = sum(len(part.pieces) for part in parts)
    more = [LEFT_OUT.format(every - kept, every), ""] if kept < every else []
    return "\n".join([*lines, *more]).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """The lines of the head of a table, and those of its rows."""
    lines = ["| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *rows)]
    return lines[:2], lines[2:]


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


def _details(one: Problem) -> str:
    """A cause, folded under its title."""
    lines = "\n".join(plain(line) for line in one.text.splitlines())
    return f"<details><summary>{plain(one.title)}</summary>\n\n<pre>{lines}</pre>\n\n</details>\n"
