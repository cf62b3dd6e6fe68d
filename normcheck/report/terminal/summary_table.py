"""Several implementations as a table, a line for each: verdict, causes, warnings, row of Table 1, time.

Imports rich, which fits the columns to the terminal: it is loaded when a run of several ends, and not before.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from normcheck.report import causes
from normcheck.report.terminal.implementation import deviates, has_table_row, head

GOOD, BAD, WEAKER = "green", "bold red", "yellow"
"""Styles of a cell."""
COLUMNS = ("implementation", "verdict", "causes", "warnings", "Table 1", "time")
DIFFERS = "differs"
"""The cell of a row of Table 1 that is not as derived."""
FOLDED = ("implementation", "causes")
"""Columns whose text goes on in the next line where it is too long."""
NARROWEST = 24
"""Columns of the terminal that an implementation has at least; names of causes have the rest, and break at a hyphen."""
FIXED = 32
"""Columns of the terminal that all take together but these two and the verdict."""
MOST_NAMES = 3
"""Causes that are named in a cell, a line for each."""


def summary_table(records: Sequence[Mapping[str, Any]], width: int, *, color: bool = False) -> Iterator[str]:
    """The lines of the table. color: with codes for a terminal."""
    left = width - FIXED - max(len(record["verdict"]) for record in records)
    longest = max((len(name) for record in records for name in _names(record)), default=0)
    of_causes = max(len("causes"), min(longest, left - NARROWEST))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in COLUMNS:
        own = {"causes": of_causes}.get(name)
        table.add_column(name, no_wrap=name not in FOLDED, overflow="fold", justify=_justified(name), width=own)
    for record, target in zip(records, _targets(records, left - of_causes), strict=True):
        table.add_row(target, *_cells(record, of_causes))
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="standard" if color else None, legacy_windows=False
    )
    console.print(table)
    yield from (line.rstrip() for line in out.getvalue().splitlines())


def _justified(name: str) -> Any:
    return "right" if name in ("warnings", "time") else "left"


def _targets(records: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    """The implementations, each in a line; those that could not be told apart so in full, in several lines."""
    short = [head(record, width) for record in records]
    full = [head(record, len(str(record))) for record in records]
    meant: dict[str, set[str]] = {}
    for one, whole in zip(short, full, strict=True):
        meant.setdefault(one, set()).add(whole)
    for one, whole in zip(short, full, strict=True):
        yield Text(one if len(meant[one]) == 1 else whole)


def _cells(record: Mapping[str, Any], of_causes: int) -> Iterator[Text]:
    good = record["verdict"] == "passed"
    warnings = causes.warning_count(record)
    row = _row(record)
    yield Text(record["verdict"], style=GOOD if good else BAD)
    yield Text("\n".join(line for name in _names(record) for line in textwrap.wrap(name, of_causes)))
    yield Text(str(warnings or ""), style=WEAKER)
    yield Text(row, style=BAD if row == DIFFERS else "")
    yield Text(f"{record['seconds']:.1f} s")


def _row(record: Mapping[str, Any]) -> str:
    """What the row of Table 1 says; empty where none was measured."""
    if not record["compared"] or not has_table_row(record):
        return ""
    if deviates(record):
        return DIFFERS
    return "agrees" if record["expected"] else "measured"


def _names(record: Mapping[str, Any]) -> Iterator[str]:
    """The names of the causes, and how many findings are expected ones."""
    names = [str(one["name"]) for one in record.get("causes", ())]
    yield from names[:MOST_NAMES]
    if len(names) > MOST_NAMES:
        yield f"and {len(names) - MOST_NAMES} more"
    known = len(record["expected_findings"])
    if known:
        yield f"{known} expected"
