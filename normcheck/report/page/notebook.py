"""One implementation as a fragment of HTML for a notebook: no script, no style but its own, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from normcheck.report import causes, completeness
from normcheck.report.message import case_words, measured
from normcheck.report.terminal.implementation import (
    EXTENDED_HEADS,
    HEADS,
    NARROW,
    WORDS,
    extended_row,
    has_table_row,
    references,
)

GOOD, BAD = "#1a7f37", "#cf222e"
"""Colors that can be read on a light and on a dark ground."""


def fragment(record: Mapping[str, Any]) -> str:
    """Verdict, findings and row of Table 1. record: of one implementation, as `schema.json` describes it."""
    return f"<div>{''.join(_parts(record))}</div>"


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    good = record["verdict"] == "passed"
    verdict = f'<strong style="color: {GOOD if good else BAD}">{escape(causes.headline(record))}</strong>'
    counts = ", ".join(f"{n} {status}" for status, n in record["checks"].items() if n)
    yield f"<p><strong>{_text(record['kind'])} = <code>{_text(record['target'])}</code></strong>: {verdict}<br>"
    yield _text(f"checks: {counts}; {record['compared']:,} numbers in {record['seconds']:.1f} s") + "</p>"
    yield from (f"<p>error: {_text(why)}</p>" for why in record["errors"])
    if completeness.unanswered(record):
        yield f"<p>incomplete: {_text(completeness.unanswered(record))}</p>"
    yield from (f"<p>{label}: {_text(text)}</p>" for label, text in causes.lines(record))
    for cause, findings in causes.grouped(record):
        if findings:
            yield f"<p>{_text(causes.title(cause))}</p>{''.join(map(_finding, findings))}"
    if has_table_row(record):
        yield _table(record)


def _text(value: object) -> str:
    return escape(str(value))


def _finding(record: Mapping[str, Any]) -> str:
    lines = {
        "law": record["law"],
        **dict(measured(record)),
        "case": case_words(record["case"]),
        "likely": record["likely"],
        "if meant": f"declare {record['remedy']}" if record["remedy"] else "",
        "source": record["source"],
        "replay": record["replay"],
    }
    rows = "".join(f"<tr>{_cell('th', name)}{_cell('td', text)}</tr>" for name, text in lines.items() if text)
    script = "\n".join(record["script"])
    shown = f"<tr>{_cell('th', 'script')}<td><pre>{_text(script)}</pre></td></tr>" if script else ""
    head = f"<summary>{_text(record['check'])} does not hold</summary>"
    return f"<details>{head}<table>{rows}{shown}</table></details>"


def _cell(tag: str, text: object) -> str:
    return f'<{tag} style="text-align: left">{_text(text)}</{tag}>'


def _table(record: Mapping[str, Any]) -> str:
    """Table 1: the rows of papers, or as derived, and the measured one; a cell that differs is marked with "!"."""
    heads = "".join(_cell("th", " ".join(head)) for head in ((), *HEADS, *EXTENDED_HEADS))
    rows = [_row(label, ((row.get(name, ""), False) for name in NARROW)) for label, row in references(record)]
    rows.append(_row(record["target"], extended_row(record)))
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _row(label: str, cells: Iterable[tuple[str, bool]]) -> str:
    words = (WORDS.get(cell, "") + "!" * differs for cell, differs in cells)
    return f"<tr>{_cell('th', label)}{''.join(_cell('td', word) for word in words)}</tr>"
