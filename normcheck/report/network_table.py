"""The table of the field in its forms: for a terminal of 80 columns, Markdown, LaTeX, HTML and JSON.

A record has the columns (name, head, law) and the rows (kind, title, paper, printed, cells by column); a cell has
holds, ratio, tries and witness.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Record = Mapping[str, Any]

MARKS = "The laws: normcheck table --markdown."

WORDS = {True: "yes", False: ".", None: "?"}
NAME, CELL = 20, 4
"""Columns of a name and of a cell."""

LEGEND = (
    "yes: no try departs by more than its bound; dot: a witness; ?: undecided.",
    "First six: Table 1 of Ba et al. 2016; * as printed, the others derived.",
)


def _word(row: Record, column: Record) -> str:
    cell = row["cells"].get(column["name"])
    return "" if cell is None else WORDS[cell["holds"]]


def text(record: Record) -> str:
    """The table in at most 80 columns, and below it the tightest yes and the smallest witness."""
    columns = record["columns"]
    heads = [" " * NAME + "".join(c["head"][i].rjust(CELL)[-CELL:] for c in columns) for i in range(2)]
    lines = [*LEGEND, *(head.rstrip() for head in heads)]
    for row in record["rows"]:
        name = row["kind"] + ("*" if row["printed"] else "")
        short = name if len(name) < NAME else name[: NAME - 2] + "~"
        lines.append((f"{short:<{NAME}}" + "".join(_word(row, c).rjust(CELL) for c in columns)).rstrip())
    return "\n".join((*lines, *_extremes(record), MARKS))


def _extremes(record: Record) -> Iterator[str]:
    cells = [(row["kind"], name, cell) for row in record["rows"] for name, cell in row["cells"].items()]
    yes = [one for one in cells if one[2]["holds"]]
    no = [one for one in cells if one[2]["holds"] is False]
    yield f"{len(yes)} times yes, {len(no)} times no, in {sum(one[2]['tries'] for one in cells)} tries."
    if yes:
        kind, name, cell = max(yes, key=lambda one: one[2]["ratio"])
        yield f"Tightest yes: {name} of {kind}, {cell['ratio']:.2g} of its bound."
    if no:
        kind, name, cell = min(no, key=lambda one: one[2]["ratio"])
        yield f"Smallest witness: {name} of {kind}, {cell['ratio']:.2g} times its bound."


def markdown(record: Record) -> str:
    """The table in Markdown, with the laws below it."""
    columns = record["columns"]
    out = [
        "| | " + " | ".join(" ".join(c["head"]) for c in columns) + " | from |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for row in record["rows"]:
        source = "printed" if row["printed"] else "derived"
        out.append(f"| {row['kind']} | " + " | ".join(_word(row, c) for c in columns) + f" | {source} |")
    out += ["", *(f"* {' '.join(c['head'])}: {c['law']}" for c in columns)]
    return "\n".join(out) + "\n"


def latex(record: Record) -> str:
    """The rows as a tabular."""
    columns = record["columns"]
    heads = " & ".join(rf"\shortstack{{{_escaped(c['head'][0])}\\{_escaped(c['head'][1])}}}" for c in columns)
    rows = [
        _escaped(row["kind"]) + " & " + " & ".join({"yes": r"\checkmark", ".": r"$\cdot$"}.get(w, w) for w in words)
        + r" \\" for row in record["rows"] for words in [[_word(row, c) for c in columns]]
    ]  # fmt: skip
    body = "\n".join(rows)
    return rf"\begin{{tabular}}{{l{'c' * len(columns)}}}" + f"\n & {heads} \\\\\n\\hline\n{body}\n\\end{{tabular}}\n"


def _escaped(word: str) -> str:
    marks = {"_": r"\_", "^": r"\^{}", "*": r"$\cdot$"}
    return "".join(marks.get(letter, letter) for letter in word)


def page(record: Record) -> str:
    """The table as HTML; a cell's title is its measurement."""

    def shown(row: Record, column: Record) -> str:
        cell = row["cells"].get(column["name"])
        if cell is None:
            return "<td></td>"
        about = cell["witness"] if not cell["holds"] else f"{cell['tries']} tries, {cell['ratio']:.2g} of the bound"
        return f'<td title="{html.escape(about, quote=True)}">{_word(row, column)}</td>'

    columns = record["columns"]
    head = "".join(
        f'<th title="{html.escape(c["law"], quote=True)}">{html.escape(" ".join(c["head"]))}</th>' for c in columns
    )
    rows = "\n".join(
        f"<tr><th>{html.escape(row['kind'])}</th>{''.join(shown(row, c) for c in columns)}</tr>"
        for row in record["rows"]
    )
    return f"<table>\n<tr><th></th>{head}</tr>\n{rows}\n</table>\n"


def data(record: Record) -> str:
    """The record as JSON."""
    return json.dumps(record, indent=1) + "\n"


FORMS: Mapping[str, Callable[[Record], str]] = {"markdown": markdown, "latex": latex, "html": page, "json": data}
"""The forms beside the terminal's, by the option that asks for them."""
