"""A run as text for the end of a pytest session, from its record. Fits any terminal from 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from normcheck.report import causes, completeness
from normcheck.report.terminal.implementation import (
    Line,
    deviates,
    has_table_row,
    headline,
    implementation,
    labeled,
    same_causes,
    speeds,
    table,
    wrapped,
)


def _replay_outcome(record: Mapping[str, Any]) -> str:
    """The result of a replayed case."""
    if record["findings"]:
        return "the finding is still there"
    if record["compared"]:
        return "fixed: the law holds on this case"
    return "the case does not apply to this implementation"


def replay_options(settings: Mapping[str, Any]) -> str:
    """The options that repeat the same cases."""
    seed = ", the same cases in every run" if settings["seed"] is None else f" --norm-seed {settings['seed']}"
    return f"--norm-effort {settings['effort']}{seed}"


def summary(run: Mapping[str, Any], width: int, *, full: bool = False, color: bool = False) -> Iterator[Line]:
    """The section at the end of a session: one implementation in full, several as `of_several` does.

    That of one with one cause fits on a screen of 24 rows with what pytest prints below it. full: each in full, with
    all findings and everything that was not checked. color: with codes of colors inside the lines.
    """
    records = run["implementations"]
    brief = len(records) > 1 and not full
    for record in () if brief else records:
        yield from implementation(record, width, full=full)
        if "replay" in run["settings"]:
            yield from wrapped("replayed", _replay_outcome(record), width)
        if full:
            yield from same_causes(record)
            yield "", {}
    measured = [r for r in records if r["compared"] and has_table_row(r)]
    if brief:
        yield from _of_several(run, width, color=color)
        if any(r["verdict"] != "passed" for r in records):  # there is something else to read
            measured = [r for r in measured if deviates(r)]
    if measured:
        yield from table(measured, width, brief=not brief and not full)
    if brief:
        yield from wrapped("totals", _totals(records), width)
    if "effort" in run["settings"]:
        yield f"Cases asked: {replay_options(run['settings'])}.", {}
    yield from ((text, {"yellow": True}) for text in completeness.lines(run))


def _of_several(run: Mapping[str, Any], width: int, *, color: bool) -> Iterator[Line]:
    """A line for each implementation, then what makes some fail, then the warnings."""
    from normcheck.report.terminal.summary_table import summary_table

    records = run["implementations"]
    yield from ((text, {}) for text in summary_table(records, width, color=color))
    for record in records:
        yield from _briefly(record, width, replayed="replay" in run["settings"])
    for text in causes.warnings_of_all(records):
        yield from wrapped("warning", text, width)


def _totals(records: Sequence[Mapping[str, Any]]) -> str:
    """How many of several implementations passed, and what was asked of all of them."""
    passed = sum(r["verdict"] == "passed" for r in records)
    checks: Counter[str] = Counter()
    for record in records:
        checks.update(record["checks"])
    counts = ", ".join(f"{n} {status}" for status, n in checks.items() if n)
    compared, seconds = sum(r["compared"] for r in records), sum(r["seconds"] for r in records)
    asked = f"{compared:,} numbers in {seconds:.1f} s"
    left = sum(len(r["not_checked"]) for r in records)
    return f"{passed} of {len(records)} passed; checks: {counts}; {asked}; {left} items not checked, -v shows all"


def _briefly(record: Mapping[str, Any], width: int, *, replayed: bool) -> Iterator[Line]:
    """What the line of a table does not tell of one implementation; nothing of one that has simply passed."""
    if record["verdict"] != "passed" or record["speed"] or record.get("growth") or replayed:
        yield from headline(record, width)
        yield from labeled(causes.failing_lines(record, replay=True), width)
    yield from speeds(record, width)
    if replayed:
        yield from wrapped("replayed", _replay_outcome(record), width)
