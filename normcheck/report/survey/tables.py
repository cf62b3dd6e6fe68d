"""What pages of a survey have in common: the line of a contract, and the cells of a callable's row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normcheck.report.survey.public_reports import public_reports
from normcheck.report.terminal.card import PLACES, state

HEADS = (
    "normalizer", "standing", "kind", "contract", "float32 keeps 1 % up to", "gradient", "running statistics",
    "warnings", "findings", "public reports",
)  # fmt: skip
"""The columns of a library's table, but for that of the speed."""

SPEED_HEAD = "time / torch's"
"""The column of the ratio of times, in a survey that has timed what is right."""

LISTED = ("unbound", "unknown", "stopped", "undecided")
"""The standings of which only the reason is told, in a list below the table."""


def contract_line(card: Mapping[str, Any]) -> str:
    """What a callable promises by its behavior, in one line.

    >>> contract_line({"contract": {"weight": "1+w"}, "eps": {"a": 1e-06, "b": 1e-06}, "eps_place": "inside"})
    'weight=1+w; eps 1e-06 inside the root, sqrt(v + eps)'
    >>> contract_line({"contract": {}, "eps": {}, "eps_place": "none"})
    "torch's; eps none"
    """
    words = ", ".join(f"{key}={value}" for key, value in card["contract"].items()) or "torch's"
    values = " and ".join(sorted({f"{float(one):.3g}" for one in card["eps"].values()})) or "its argument"
    return f"{words}; eps {PLACES.get(card['eps_place'], PLACES['unknown']).format(value=values)}"


def offset(card: Mapping[str, Any]) -> str:
    """The largest mean, in standard deviations, at which a float32 output is off by less than 1 percent.

    >>> offset({"offset": 1000.0}), offset({"offset": None})
    ('1e+03', '')
    """
    return "" if card.get("offset") is None else f"{float(card['offset']):.0e}"


def running(card: Mapping[str, Any]) -> str:
    """What it holds of its batches, and what it normalizes by in evaluation.

    >>> running({"running": {"momentum": "new", "new_weight": 0.1, "variance": "unbiased", "evaluation":
    ...     "running statistics"}, "momentum": 0.1}).partition("; ")[0]
    'momentum is the weight of the new batch, 0.1 by default'
    """
    return f"{state(card)}; evaluation uses {card['running']['evaluation']}" if card.get("running") else ""


def is_timed(document: Mapping[str, Any]) -> bool:
    """Whether a survey has timed what is right."""
    return any(row.get("speed") for one in document["libraries"] for row in one["normalizers"])


def heads(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a library's table in a survey."""
    return (*HEADS, SPEED_HEAD) if is_timed(document) else HEADS


def speed(row: Mapping[str, Any]) -> str:
    """The time of a call over that of torch's function, or of a composition of its operators, with its interval.

    >>> speed({"speed": {"value": 1.5, "low": 1.25, "high": 2.0, "baseline": "eager"}})
    '1.50 x eager [1.25, 2.00]'
    >>> speed({"speed": {"absent": "torch has none"}})
    ''
    """
    found = row.get("speed") or {}
    if "value" not in found:
        return ""
    value, low, high = (float(found[key]) for key in ("value", "low", "high"))
    return f"{value:.2f} x {found['baseline']} [{low:.2f}, {high:.2f}]"


def cells(row: Mapping[str, Any], *, timed: bool) -> tuple[str, ...]:
    """The texts of a row under `heads`. timed: whether the survey has timed what is right."""
    card, record = row["card"], row["record"] or {}
    warnings = record.get("warnings", ())
    return (
        name(row), row["standing"], row["kind"], contract_line(card), offset(card),
        card["gradient"], running(card),
        ", ".join(dict.fromkeys(one["name"] for one in warnings)),
        ", ".join(one["name"] for one in record.get("causes", ())), ", ".join(public_reports(row)),
        *((speed(row),) if timed else ()),
    )  # fmt: skip


def name(row: Mapping[str, Any]) -> str:
    """The target, and how many others have the same code.

    >>> name({"target": "a:f", "same": ["a.b:f"]})
    'a:f, and 1 of the same code'
    """
    same = len(row["same"])
    return str(row["target"]) + (f", and {same} of the same code" if same else "")


def tabled(library: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a library that have a verdict; those with findings first."""
    found = [row for row in library["normalizers"] if row["standing"] not in LISTED]
    return sorted(found, key=lambda row: row["standing"] != "finding")


def listed(library: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, standing and reason of the rows without a verdict, and of modules that could not be imported."""
    for standing in reversed(LISTED):
        yield from ((name(row), standing, _reason(row)) for row in library["normalizers"]
                    if row["standing"] == standing)  # fmt: skip
    yield from ((module, "not imported", reason) for module, reason in library["problems"].items())


FINDING_HEADS = ("library", "normalizer", "cause", "law", "its script", "printed", "public reports")
"""The columns of the table of findings."""


def findings(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row under `FINDING_HEADS` for each cause that no convention explains, of all libraries."""
    for library in document["libraries"]:
        for row in library["normalizers"]:
            for one in row.get("reproductions", ()):
                yield (
                    f"{library['name']} {library['version']}", name(row), one["cause"], one["law"],
                    one.get("shown", "was not run"), one.get("printed", ""), ", ".join(public_reports(row)),
                )  # fmt: skip


def summary(document: Mapping[str, Any]) -> str:
    """How much was surveyed, in a sentence."""
    rows = [row for one in document["libraries"] for row in one["normalizers"]]
    names = sum(one["names"] for one in document["libraries"])
    judged = [row for row in rows if row["standing"] not in LISTED]
    known = len(judged) + sum(len(row["same"]) for row in judged)
    hangs = sum(row["standing"] == "stopped" for row in rows)
    count = sum(1 for _ in findings(document))
    return (
        f"{names} classes and functions of {len(document['libraries'])} libraries have the name of a normalizer, "
        f"{len(rows)} of different code. {known} of them are known kinds and were checked, {len(judged)} of different "
        f"code; {count} causes of findings; {hangs} did not end in their time or crashed."
    )


def _reason(row: Mapping[str, Any]) -> str:
    """Why a callable has no verdict, and what was reported of it in public."""
    public = ", ".join(public_reports(row))
    return str(row["reason"]) + (f"; public report: {public}" if public else "")


def counted(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each library: name, version, names, callables of different code, how many of each standing, time."""
    return [
        (
            one["name"], one["version"], str(one["names"]), str(len(one["normalizers"])),
            *(str(one["counts"].get(standing, 0)) for standing in document["standings"]), f"{one['seconds']:.0f} s",
        )
        for one in document["libraries"]
    ]  # fmt: skip


def count_heads(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of `counted`."""
    return ("library", "version", "names", "of different code", *document["standings"], "process time")
