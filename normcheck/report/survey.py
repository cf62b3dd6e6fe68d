"""What pages of a survey have in common: the line of a contract, and the cells of a callable's row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normcheck.report.card import PLACES

HEADS = ("normalizer", "standing", "kind", "contract", "float32 keeps 1 % up to", "gradient", "warnings", "findings")
"""The columns of a library's table."""

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


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of a row under `HEADS`."""
    card, record = row["card"], row["record"] or {}
    warnings = record.get("warnings", ())
    return (
        name(row), row["standing"], row["kind"], contract_line(card), offset(card),
        card["gradient"],
        ", ".join(dict.fromkeys(one["name"] for one in warnings)),
        ", ".join(one["name"] for one in record.get("causes", ())),
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
        yield from ((name(row), standing, row["reason"]) for row in library["normalizers"]
                    if row["standing"] == standing)  # fmt: skip
    yield from ((module, "not imported", reason) for module, reason in library["problems"].items())


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
