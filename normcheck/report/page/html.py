"""A run as one page that loads nothing from the network and has no scripts of others.

Every text of a record is escaped. Even a text that was not could not run: the content security policy of the page
allows this package's one script, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from normcheck.report import causes, laws, speed
from normcheck.report.completeness import INCOMPLETE, lines, unanswered
from normcheck.report.formats import classes, formats_in
from normcheck.report.page import plots
from normcheck.report.page.finding_views import SCRIPT_CHARACTERS, cause_views, figure
from normcheck.report.page.small_svg import with_classes
from normcheck.report.reasons import with_reason
from normcheck.report.terminal.implementation import (
    EXTENDED_HEADS,
    HEADS,
    NARROW,
    PASSES,
    WORDS,
    extended_row,
    has_table_row,
    references,
)

VERDICTS = ("failed", "error", INCOMPLETE, "inconclusive", "passed")
"""In the order of importance to a reader."""


HEAT = ((0.1, "cool"), (0.5, "warm"), (1.0, "hot"), (float("inf"), "over"))
"""Shares of a bound, at most, and the names of their colors on the page."""


def text(run: Mapping[str, Any], path: Path, root: Path) -> str:
    """The page. run: a record as `schema.json` describes it; optional keys may be absent."""
    folder = files("normcheck") / "report" / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["figure"] = figure
    script = (folder / "run.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    records = run["implementations"]
    counts = Counter(str(one["verdict"]) for one in records)
    formats = formats_in(key for one in records for part in ("accuracy", "curves") for key in one.get(part, {}))
    page = environment.get_template("run.html").render(
        run=run,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
        style=Markup((folder / "run.css").read_text(encoding="utf-8")),  # noqa: S704  # a file of this package
        script=Markup(script),  # noqa: S704  # a file of this package
        counts=[(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]],
        open_ends=list(lines(run)),
        kinds=sorted({str(one["kind"]) for one in records}),
        heads=[" ".join(head) for head in HEADS + EXTENDED_HEADS],
        groups=list(_table(records)),
        topics=(topics := laws.topics(records)),
        words=WORDS | {"": ""},
        formats=formats,
        implementations=[
            _view(i, one, formats, SCRIPT_CHARACTERS // len(records)) | {"cells": list(laws.cells(one, topics))}
            for i, one in enumerate(records)
        ],
    )
    return with_classes(page)


def _table(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Table 1 by kind: rows of papers, and measured rows, each cell with whether it differs from the derived one."""
    measured = [(i, one) for i, one in enumerate(records) if has_table_row(one)]
    for kind in sorted({str(one["kind"]) for _, one in measured}):
        own = [(i, one) for i, one in measured if one["kind"] == kind]
        yield {
            "references": [(label, [row.get(name, "") for name in NARROW]) for label, row in references(own[0][1])],
            "measured": [{"index": i, "target": one["target"], "cells": list(extended_row(one))} for i, one in own],
        }


def _view(index: int, record: Mapping[str, Any], formats: Sequence[str], characters: int) -> dict[str, Any]:
    """What the page shows of one implementation. characters: the most in its scripts; the first findings come first."""
    speeds = list(_speeds(record["speed"]))
    return {
        "index": index,
        "record": record,
        "unanswered": unanswered(record),
        "causes": list(cause_views(record, characters)),
        "laws": list(laws.listed(record)),
        "accuracy": list(_accuracy(record.get("accuracy", {}), formats)),
        "accuracy_plot": Markup(plots.accuracy(record.get("curves", {}), classes(record), formats, f"a{index}")),  # noqa: S704  # matplotlib escapes labels
        "gradient_plot": Markup(plots.gradient(record.get("gradient_shares", {}), f"g{index}")),  # noqa: S704
        "speed": speeds,
        "speed_plot": Markup(plots.speed(speeds, f"s{index}")),  # noqa: S704
        "memory_plot": Markup(plots.memory([one for one in speeds if one["memory"] is not None], f"m{index}")),  # noqa: S704
        "growth": [speed.growth(one) for one in record.get("growth", [])],
        "growth_plots": [Markup(plots.growth(own, f"t{index}{over}")) for over, own in _by_size(record)],  # noqa: S704
        "known": with_reason(record.get("expected_findings", {})),
        "not_checked": with_reason(record.get("not_checked", {}), record.get("causes", ())),
        "details": list(_details(record)),
    }


def _details(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Short facts for the list under the heading."""
    tightest, contract = record.get("tightest"), record.get("contract")
    if record.get("causes"):
        yield from causes.conditions(record)
    yield from (("warning", text) for text in causes.warnings(record.get("warnings", ())))
    if record["compared"]:
        yield "gradient", record["gradient"]
    if contract:
        yield "contract", ", ".join(f"{key}={value}" for key, value in contract.items())
    if tightest:
        yield "tightest", f"{figure(tightest['share'])} of what is allowed, in {tightest['check']}"
    if shapes := causes.input_shapes(record):
        yield "input shapes", shapes
    yield "checks", ", ".join(f"{count} {status}" for status, count in record["checks"].items() if count)
    yield "compared", f"{record['compared']:,} numbers in {record['seconds']:.1f} s"
    yield from record.get("information", {}).items()


def _accuracy(found: Mapping[str, Any], formats: Sequence[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A line for each pass with a cell for each format: the share of the bound, and the class if it is not "sound".

    Each with its heat: how much of the bound is used up.
    """
    for part in PASSES:
        cells = [found.get(f"{part} {format}") for format in formats]
        if any(cells):
            yield part, [_accuracy_cell(cell) for cell in cells]


def _accuracy_cell(cell: Mapping[str, Any] | None) -> tuple[str, str]:
    if cell is None:
        return "", ""
    share = float(cell["share"])
    heat = next(name for most, name in HEAT if not share > most)  # NaN is cool: what it says is in the cell
    return figure(cell["share"]) + ("" if cell["class"] == "sound" else f" ({cell['class']})"), heat


def _speeds(speeds: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of the table of times, with the values that the plots draw."""
    for one in speeds:
        ratio, reached, held = one["ratio"], one["bandwidth"], one["memory"]
        low, value, high = float(ratio["low"]), float(ratio["value"]), float(ratio["high"])
        yield {
            "label": speed.label(one, " x "), "verdict": one["verdict"], "reason": one["reason"],
            "seconds": f"{1e6 * one['seconds']:,.1f}", "value": value, "low": low, "high": high,
            "ratio": f"{value:.2f} [{low:.2f}, {high:.2f}] of {one['baseline']}",
            "beside": ", ".join(f"{other['value']:.2f} of {name}" for name, other in one["beside"].items()),
            "bandwidth": f"{100.0 * reached['share']:.0f} % of {reached['level']}",
            "memory": None if held is None else float(held["ratio"]),
            "hidden": speed.hidden(one),
        }  # fmt: skip


def _by_size(record: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The growths over the same size, which one plot shows."""
    grown = record.get("growth", [])
    for over in dict.fromkeys(str(one["over"]) for one in grown):
        yield over, [one for one in grown if one["over"] == over]
