"""A survey as markdown: a table of libraries, one of the normalizers of each, and what is not right about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from normcheck.report import causes
from normcheck.report.message import finding
from normcheck.report.services.markdown import plain
from normcheck.report.survey import tables


def text(document: Mapping[str, Any]) -> str:
    """The document."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield from ("# Survey of normalizers", "")
    end = "" if document["complete"] else ", which was interrupted"
    yield f"Made by normcheck {plain(document['normcheck'])} at effort {plain(document['effort'])}{end}."
    yield from ("", plain(tables.summary(document)), "")
    found = list(tables.findings(document))
    if found:
        yield from ("## Findings", "")
        yield from _table(tables.FINDING_HEADS, found)
    yield from ("## Libraries", "")
    yield from _table(tables.count_heads(document), tables.counted(document))
    yield from (f"* **{word}**: {plain(meaning)}" for word, meaning in document["standings"].items())
    timed = tables.is_timed(document)
    for one in document["libraries"]:
        yield from ("", f"## {plain(one['name'])} {plain(one['version'])}", "")
        rows = tables.tabled(one)
        if rows:
            yield from _table(tables.heads(document), (tables.cells(row, timed=timed) for row in rows))
        for row in rows:
            yield from _details(row)
        yield from (f"* {plain(name)}: {standing}: {plain(why)}" for name, standing, why in tables.listed(one))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = (heads, ["---"] * len(heads), *([plain(cell) for cell in row] for row in rows))
    yield from ("| " + " | ".join(line) + " |" for line in lines)
    yield ""


def _details(row: Mapping[str, Any]) -> Iterator[str]:
    """Warnings, and for each cause its most telling finding with the script that reproduces it."""
    record = row["record"]
    told = [*(f"warning: {one}" for one in causes.warnings(record["warnings"])),
            *(f"cause: {causes.cause(one)}" for one in record["causes"])]  # fmt: skip
    if not told:
        return
    yield from (f"### {plain(tables.name(row))}", "")
    yield from (f"* {plain(one)}" for one in told)
    yield ""
    for cause in record["causes"]:
        body = "\n".join(plain(one) for one in finding(row["kind"], row["target"], cause["finding"]).splitlines())
        yield f"<details><summary>{plain(causes.title(cause))}</summary>\n\n<pre>{body}</pre>\n\n</details>\n"
    for one in row.get("reproductions", ()):
        if one["script"]:
            yield from (f"The script of {plain(one['cause'])}, which ends with status 3 if it is as reported:", "")
            yield from (*_fenced(one["script"]), "")


def _fenced(script: Sequence[str]) -> Iterator[str]:
    """A script as a block of code, in a fence that no line of it can close."""
    fence = "```"
    while any(fence in line for line in script):
        fence += "`"
    yield from (f"{fence}python", *script, fence)
