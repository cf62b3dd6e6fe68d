"""The identity card of `normcheck identify` for the terminal, from its record. Fits any terminal from 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from normcheck.report.terminal.implementation import HEADS, WORDS

LABEL_WIDTH = 13
"""Columns of the labels on the left."""
CELL_WIDTH = 8
"""Columns of a cell of Table 1."""

PLACES = {
    "inside": "{value} inside the root, sqrt(v + eps)",
    "outside": "{value} outside the root, sqrt(v) + eps",
    "floor": "{value} as a floor under the root, max(sqrt(v), eps)",
    "none": "none",
    "unknown": "acts in no known place",
}
WEIGHTS = {
    "w": "times w", "1+w": "times 1 + w", "none": "no weight", "ignored": "a weight without effect",
    "unknown": "a weight that acts in no known form",
}  # fmt: skip
BIASES = {
    "added": "plus b", "none": "no bias", "ignored": "a bias without effect", "unknown": "a bias that is not added",
}  # fmt: skip
MODES = {
    "full": "full: through every statistic",
    "mean-constant": "mean-constant: E[x] is held constant",
    "variance-constant": "variance-constant: the scale is held constant",
    "statistics-constant": "statistics-constant: through no statistic",
    "none": "none of the four closed forms",
    "not offered": "not offered",
}
MOMENTA = {
    "new": "momentum is the weight of the new batch",
    "old": "momentum is the weight of the old state",
    "fixed": "no momentum argument moves it; the new batch weighs {weight:.4g}",
    "never updated": "never updated",
    "unknown": "updated in no known way",
}


def card_lines(card: Mapping[str, Any], width: int) -> Iterator[str]:
    """The lines of a card. card: the record of an identity report."""
    known = f"{card['kind']}, {card['title']}" if card["kind"] else "no entry of the catalog"
    yield from _wrapped(f"{card['target']}:", known, width, hang=4)
    yield ""
    for label, text in _properties(card):
        yield from _labeled(label, text, width)
    yield ""
    yield from _row(card)
    if card["line"]:
        yield ""
        yield "Check it as what it is:"
        yield "  " + str(card["line"]).replace(" --norm-contract", " \\\n      --norm-contract")


def _properties(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not card["kind"]:
        yield "called as", str(card["bound_as"])
    yield "shares", str(card["shares"])
    yield "mean", {True: "subtracted", False: "not subtracted", None: "neither kept nor subtracted"}[card["centered"]]
    divisor = f", divided by {card['divisor']}" if card["divisor"] else ""
    yield "scaled by", f"{card['scaled_by']}{divisor}"
    yield "eps", _eps(card)
    yield "affine", f"{WEIGHTS[card['affine']['weight']]}, {BIASES[card['affine']['bias']]}"
    if card["gradient"]:
        yield "gradient", _gradient(card["gradient"])
    if card["running"]:
        yield "state", state(card)
        yield "evaluation", f"uses {card['running']['evaluation']}"
    for format, half in card["half"].items():
        yield format, _half(half)
    if card["largest_offset"] is not None:
        offset = f"{float(card['largest_offset']):.1g}"
        yield "offset", f"float32 keeps 1 percent up to a mean of {offset} standard deviations"
    yield "nearest", ", ".join(f"{one['kind']} ({float(one['distance']):.2g} off)" for one in card["nearest"][:3])
    yield "contract", ", ".join(f"{k}={v}" for k, v in card["contract"].items()) or "torch's, in everything"


def _eps(card: Mapping[str, Any]) -> str:
    values = sorted({float(value) for value in card["eps"].values()})
    if card["machine_epsilon"]:
        value = "machine epsilon of the format,"
    else:
        value = " and ".join(f"{v:.4g}" for v in values) or "its argument"
    text = PLACES[card["eps_place"]].format(value=value)
    argument = {"obeyed": "; an argument, obeyed", "without effect": "; an argument without effect"}
    return text + argument.get(card["eps_argument"], "")


def _gradient(found: Mapping[str, Any]) -> str:
    marks = [
        f"{name.upper()} = {round(float(found[name]), 3) + 0.0:g}"
        for name in ("a", "b")
        if float(found[name]) == float(found[name])
    ]
    more = [*marks, *([found["why"]] if found["why"] else [])]
    return MODES[found["mode"]] + (f" ({', '.join(more)})" if more else "")


def state(card: Mapping[str, Any]) -> str:
    """How running statistics are updated, and what they hold."""
    found = card["running"]
    text = MOMENTA[found["momentum"]].format(weight=float(found["new_weight"]))
    if card["momentum"] is not None and found["momentum"] in ("new", "old"):
        text += f", {card['momentum']:.4g} by default"
    divisor = {"unbiased": "n - 1", "biased": "n"}.get(found["variance"])
    return text + (f"; the variance stored is {found['variance']}, divided by {divisor}" if divisor else "")


def _half(half: Mapping[str, str]) -> str:
    sums = "statistics kept wide" if half["sums"] == "wide" else "statistics kept in the format itself"
    cast = {"cast last": ", cast down last", "cast before the weight": ", cast down before the weight",
            "output wider": ", not cast down"}.get(half["cast"], "")  # fmt: skip
    return f"{sums}{cast}, accuracy class {half['accuracy']}"


def _row(card: Mapping[str, Any]) -> Iterator[str]:
    """The row of Table 1, derived and measured; a "!" marks a measured cell that differs."""
    for i in range(3):
        yield (" " * (LABEL_WIDTH + 9) + "".join(head[i].ljust(CELL_WIDTH) for head in HEADS)).rstrip()
    derived, measured = card["row"], card["row_measured"]
    yield (
        "  Table 1: derived".ljust(LABEL_WIDTH + 9)
        + "".join(WORDS[v].ljust(CELL_WIDTH) for v in derived.values()).rstrip()
    )
    if set(measured.values()) != {"undetermined"}:
        cells = "".join(
            (WORDS[v] + ("!" if v not in (derived[name], "undetermined") else "")).ljust(CELL_WIDTH)
            for name, v in measured.items()
        )
        yield "           measured".ljust(LABEL_WIDTH + 9) + cells.rstrip()


def _labeled(label: str, text: str, width: int) -> Iterator[str]:
    return _wrapped(f"  {label}".ljust(LABEL_WIDTH), text, width, hang=LABEL_WIDTH + 1)


def _wrapped(first: str, text: str, width: int, hang: int) -> Iterator[str]:
    yield from textwrap.wrap(
        f"{first} {text}", max(40, width), subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
