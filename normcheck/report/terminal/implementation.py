"""The record of one implementation as text, and Table 1 of some. Fits any terminal from 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from normcheck.report import causes, completeness, speed
from normcheck.report.formats import formats_in
from normcheck.report.message import short_finding
from normcheck.report.reasons import counted, with_reason

HEADS = (
    ("weight", "matrix", "scale"),
    ("weight", "matrix", "center"),
    ("weight", "vector", "scale"),
    ("data", "set", "scale"),
    ("data", "set", "center"),
    ("single", "case", "scale"),
)
"""The columns of Table 1, in the paper's words."""
EXTENDED_HEADS = (("folds", "into", "W"), ("reads", "own case", "only"), ("reads", "own past", "only"))
"""The columns beyond the paper's table."""
NARROW = {
    "weight_matrix_rescaling": ("W", "*d"),
    "weight_matrix_recentering": ("W", "+v"),
    "weight_vector_rescaling": ("unit", "*d"),
    "dataset_rescaling": ("data", "*d"),
    "dataset_recentering": ("data", "+v"),
    "case_rescaling": ("case", "*d"),
    "reparametrization": ("fold", "in W"),
    "independence_of_batch": ("own", "case"),
    "independence_of_length": ("own", "past"),
}
"""All columns by their names in a record, with heads so short that a table fits into 80 columns."""
LEGEND = (
    "*d re-scales and +v re-centers: the weights W, one unit's, all data, one case.",
    "Beyond: does it fold into W; does an output read only its own case, own past?",
)
BRIEFLY = ("Table 1 of the layer-norm paper,", "as measured (-v explains it)")
"""The same in few words, beside the heads."""
PASSES = ("forward", "backward", "parameters", "evaluation")
WORDS = {"invariant": "yes", "not invariant": "no", "undetermined": "?"}
TOLD = ("identified", "input-shapes")
"""Information on what was asked, which a failing run tells too; other remarks are about what is right."""
CELL_WIDTH = 5
"""Columns of a cell."""

Line = tuple[str, dict[str, bool]]
"""A line with its markup, as keyword arguments of pytest's terminal writer."""


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[-(width - 3) :].lstrip(".")


def _cells(row: Mapping[str, str]) -> str:
    """The cells of a row in words; blank where the row has none."""
    return _words((row.get(name, ""), False) for name in NARROW)


def _words(cells: Iterable[tuple[str, bool]]) -> str:
    return "".join((WORDS.get(cell, "") + "!" * differs).ljust(CELL_WIDTH) for cell, differs in cells).rstrip()


def references(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The rows to compare a measured row with: those that papers print, equal ones in one; else the derived row."""
    papers: dict[str, list[str]] = {}
    rows = {}
    for printed in record["printed"]:
        key = _cells(printed["row"])
        papers.setdefault(key, []).append(printed["short"])
        rows[key] = printed["row"]
    for key, names in papers.items():
        yield f"{record['kind']} ({', '.join(names)})", rows[key]
    if not papers:
        yield f"{record['kind']} (derived)" if record["expected"] else record["kind"], record["expected"] or {}


def extended_row(record: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each cell, with whether it differs from the derived one; "" for a column without a cell.

    A kind without a derived row of Table 1 has the cells that were measured.
    """
    cells = record["row"] | record.get("extended", {})
    if record.get("expected") is None:
        cells = {name: cell for name, cell in cells.items() if cell != "undetermined"}
    expected = (record.get("expected") or {}) | record.get("expected_extended", {})
    for name in NARROW:
        yield cells.get(name, ""), name in cells and name in expected and cells[name] != expected[name]


def has_table_row(record: Mapping[str, Any]) -> bool:
    """Whether any column of the table was measured."""
    return not {*record["row"].values(), *record.get("extended", {}).values()} <= {"undetermined"}


def deviates(record: Mapping[str, Any]) -> bool:
    """Whether any cell differs from the derived one."""
    return any(differs for _, differs in extended_row(record))


def table(implementations: Sequence[Mapping[str, Any]], width: int, *, brief: bool = False) -> Iterator[Line]:
    """Table 1 as measured, extended: a line for each implementation, below the rows that papers print.

    The columns beyond the paper's are measured only, as no paper prints them. brief: without the lines that explain it.
    """
    name = max(36, min(width - len(NARROW) * CELL_WIDTH + 1, 60))
    if not brief:
        yield "Table 1 of the layer-norm paper, as measured: does the output stay the same?", {"bold": True}
        for text in LEGEND:
            yield text, {}
    for i, text in enumerate(BRIEFLY if brief else ("", "")):
        yield (text.ljust(name) + "".join(head[i].ljust(CELL_WIDTH) for head in NARROW.values())).rstrip(), {}
    seen: set[str] = set()
    for one in sorted(implementations, key=lambda r: r["kind"]):
        if one["kind"] not in seen:
            seen.add(one["kind"])
            for label, row in references(one):
                fitting = label if len(label) < name else label.partition(" (")[0]  # a long name, without its paper
                yield f"{_shortened(fitting, name - 1):<{name}}{_cells(row)}".rstrip(), {"bold": True}
        bad = deviates(one)
        cells = _words(extended_row(one))
        yield f"{_shortened('  ' + one['target'], name - 1):<{name}}{cells}", {"red": bad, "green": not bad}
        if "row_expected_statistics" in one:
            expected = one["row_expected_statistics"] | one["extended_expected_statistics"]
            yield f"{'  expected statistics':<{name}}{_cells(expected)}", {}


def _accuracy(record: Mapping[str, Any], width: int) -> Iterator[Line]:
    """The largest share of the bound by pass and format; the accuracy class if it is not "sound"."""
    by_pass: dict[str, dict[str, str]] = {}
    for place, found in record["accuracy"].items():
        name, _, format = place.rpartition(" ")
        other = "" if found["class"] == "sound" else f" ({found['class']})"
        by_pass.setdefault(name, {})[format] = f"{format} {float(found['share']):.2g}{other}"
    label, formats = "accuracy", formats_in(record["accuracy"])
    for name in (n for n in PASSES if n in by_pass):
        words = ", ".join(by_pass[name][f] for f in formats if f in by_pass[name])
        yield from wrapped(label, f"{name}: {words}", width)
        label = ""


def _accuracy_classes(record: Mapping[str, Any], width: int) -> Iterator[Line]:
    """The accuracy class of each pass where it is not "sound", with the formats, and the rest."""
    by_pass: dict[str, dict[str, list[str]]] = {}
    for place, found in record["accuracy"].items():
        name, _, format = place.rpartition(" ")
        if found["class"] != "sound":
            by_pass.setdefault(name, {}).setdefault(found["class"], []).append(format)
    passes: dict[tuple[str, str], list[str]] = {}
    for name in sorted(by_pass, key=PASSES.index):
        for which, formats in by_pass[name].items():
            passes.setdefault((which, ", ".join(formats_in(formats))), []).append(name)
    some = [
        f"{', '.join(names)}: {'beyond every bound' if which == 'none' else which} in {formats}"
        for (which, formats), names in passes.items()
    ]
    sound = [float(found["share"]) for found in record["accuracy"].values() if found["class"] == "sound"]
    if sound:
        every = f"sound in all passes and formats, {max(sound):.2g} of the bound at most"
        some.append("the rest sound" if some else every)
    if some:
        yield from wrapped("accuracy", "; ".join(some), width)


def wrapped(label: str, text: str, width: int) -> Iterator[Line]:
    lines = textwrap.wrap(text, max(40, width - 14), break_long_words=False, break_on_hyphens=False) or [""]
    yield f"  {label:<12}{lines[0]}", {}
    for more in lines[1:]:
        yield " " * 14 + more, {}


def labeled(lines: Iterable[tuple[str, str]], width: int) -> Iterator[Line]:
    """Texts behind their labels. A command is one line, however long it is, so that it can be copied."""
    for label, text in lines:
        if label in causes.COMMANDS:
            yield f"  {label:<12}{text}", {}
        else:
            yield from wrapped(label, text, width)


def headline(record: Mapping[str, Any], width: int) -> Iterator[Line]:
    """The verdict and the errors of one implementation."""
    good = record["verdict"] == "passed"
    told = causes.headline(record)
    yield f"{head(record, width - len(told) - 2)}: {told}", {"bold": True, "green": good, "red": not good}
    for text in record["errors"]:
        yield from wrapped("error", text, width)
    left = completeness.unanswered(record)
    if left:
        yield from wrapped("incomplete", left, width)


def same_causes(record: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each finding beside the most telling one of its cause; pytest shows one of them in full."""
    for _, findings in causes.grouped(record):
        for one in findings[1:]:
            yield f"  {short_finding(one, str(findings[0]['check']))}", {}


def implementation(record: Mapping[str, Any], width: int, *, full: bool = False) -> Iterator[Line]:
    """The results of one implementation: what fits on a screen below the summary of pytest.

    full: with accuracy in numbers, all that is information, and the names of everything that was not checked.
    """
    yield from headline(record, width)
    if not record["compared"]:
        return
    brief = not full and record["verdict"] != "passed"  # what fails comes first
    yield from labeled(causes.lines(record, replay=True, brief=brief), width)
    claimed = record["contract"].get("gradient", "full")
    asked = record["gradient_shares"] and "gradient" not in record["not_checked"]
    if asked and not (brief and record["gradient"] == claimed):
        text = "as claimed" if record["gradient"] == claimed else f"claimed {claimed}"
        yield from wrapped("gradient", f"{record['gradient']}, {text}", width)
    if record["contract"]:
        yield from wrapped("contract", ", ".join(f"{k}={v}" for k, v in record["contract"].items()), width)
    yield from (_accuracy if full else _accuracy_classes)(record, width)
    if record["invariances"]:
        cells = (f"{name.replace('_', ' ')} {WORDS[cell]}" for name, cell in record["invariances"].items())
        yield from wrapped("invariant", ", ".join(cells), width)
    if full and record["tightest"]:
        yield from wrapped("tightest", f"{float(record['tightest']['share']):.2g} of what is allowed, "
                            f"in {record['tightest']['check']}", width)  # fmt: skip
    if shapes := causes.input_shapes(record):
        yield from wrapped("shapes", shapes, width)
    counts = ", ".join(f"{n} {status}" for status, n in record["checks"].items() if n)
    yield from wrapped("checks", f"{counts}; {record['compared']:,} numbers in {record['seconds']:.1f} s", width)
    yield from speeds(record, width)
    yield from _remarks(record, width, full)


def speeds(record: Mapping[str, Any], width: int) -> Iterator[Line]:
    """The timings, if there are any."""
    if record["speed"]:
        yield from wrapped("speed", speed.heading(record["speed"][0]), width)
        for line, slower in speed.lines(record["speed"], width):
            yield line, {"red": slower}
    for one in record.get("growth", ()):
        yield from wrapped("growth", speed.growth(one), width)


def _remarks(record: Mapping[str, Any], width: int, full: bool) -> Iterator[Line]:
    """Expected findings, information, and what was not checked."""
    if record["expected_findings"]:
        yield from wrapped("expected", with_reason(record["expected_findings"]), width)
    for what, text in record["information"].items():
        if full or what in TOLD or record["verdict"] == "passed":
            yield from wrapped("information", f"{what}: {text}", width)
    if record["not_checked"]:
        text = with_reason(record["not_checked"], record.get("causes", ())) if full else counted(record["not_checked"])
        yield from wrapped("not checked", text, width)


def head(record: Mapping[str, Any], width: int) -> str:
    """Kind and target of one implementation; of a long target the end."""
    kind = f"{record['kind']} = " if record["kind"] else ""
    return kind + _shortened(record["target"], width - len(kind))


def progress(event: Mapping[str, Any]) -> str:
    """One event of a run, as its record, in a line; empty for the events between two results.

    >>> progress({"event": "claim done", "kind": "layer_norm", "target": "mine.py:f"})
    ''
    """
    if "outcome" not in event:
        return ""
    outcome = event["outcome"]
    counted = f", {outcome['compared']:,} numbers in {outcome['seconds']:.2f} s" if outcome["compared"] else ""
    why = f": {outcome['reason']}" if outcome["reason"] else ""
    name = f"{outcome['kind']} {outcome['target']}".strip()
    return f"{name}: {outcome['check']}: {outcome['status']}{why}{counted}"
