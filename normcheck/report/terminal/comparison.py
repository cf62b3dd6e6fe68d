"""What changed from one saved run to another, as text: causes and warnings, rows, accuracy, speed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from normcheck.report.speed import label
from normcheck.report.terminal.implementation import NARROW, WORDS

Record = Mapping[str, Any]

GRAVITY = {"passed": 0, "inconclusive": 1, "incomplete": 1, "failed": 2, "error": 2}
"""How bad a verdict is."""

NOTICED, LEAST = 1.5, 0.05
"""An error in units of its bound is said to have changed by more than this factor, if one of both exceeds the least."""

INDENT = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. worse: True or False where one of both is the better one."""

    label: str
    text: str
    worse: bool | None = None


def compared(before: Record, after: Record, names: tuple[str, str], width: int) -> tuple[list[str], bool]:
    """The lines that tell what changed, and whether something is worse. names: of both runs."""
    old, new = (_by_name(run) for run in (before, after))
    lines = [*_remarks(before, after, names, width)]
    counts = {"worse": 0, "better": 0, "changed": 0, "unchanged": 0}
    for name in dict.fromkeys((*new, *old)):
        changes = [*_changes(old.get(name), new.get(name), names)]
        counts[_sum(changes)] += 1
        if changes:
            lines += ["", *textwrap.wrap(_title(name, old.get(name), new.get(name)), width), *_wrapped(changes, width)]
    lines += ["", ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing to compare"]
    return lines, counts["worse"] > 0


def _by_name(run: Record) -> dict[tuple[str, str], Record]:
    return {(one["kind"], one["target"]): one for one in run["implementations"]}


def _remarks(before: Record, after: Record, names: tuple[str, str], width: int) -> Iterator[str]:
    """In what the runs themselves differ, so that what only one of them asked is not taken for a change."""
    efforts = [run["settings"].get("effort") for run in (before, after)]
    texts = []
    if efforts[0] != efforts[1]:
        texts.append(
            f"{names[0]} asked with effort {efforts[0]}, {names[1]} with {efforts[1]}: fewer questions find less"
        )
    texts += [
        f"{name} did not reach its end" for name, run in zip(names, (before, after), strict=True)
        if not run.get("complete", True)
    ]  # fmt: skip
    for text in texts:
        yield from textwrap.wrap(text, width)


def _sum(changes: list[Change]) -> str:
    if any(one.worse for one in changes):
        return "worse"
    if any(one.worse is False for one in changes):
        return "better"
    return "changed" if changes else "unchanged"


def _title(name: tuple[str, str], old: Record | None, new: Record | None) -> str:
    verdicts = " -> ".join(dict.fromkeys(one["verdict"] for one in (old, new) if one is not None))
    return f"{name[0]} = {name[1]}: {verdicts}"


def _wrapped(changes: list[Change], width: int) -> Iterator[str]:
    for one in changes:
        first = f"  {one.label}".ljust(INDENT)
        yield from textwrap.wrap(
            one.text, width, initial_indent=first, subsequent_indent=" " * INDENT, break_on_hyphens=False
        )


def _changes(old: Record | None, new: Record | None, names: tuple[str, str]) -> Iterator[Change]:
    if old is None or new is None:
        bad = new is not None and GRAVITY[new["verdict"]] > 0
        yield Change("only", f"in {names[0] if new is None else names[1]}", worse=True if bad else None)
        return
    grave = GRAVITY[new["verdict"]] - GRAVITY[old["verdict"]]
    if grave:
        reasons = "; ".join(
            (*new.get("errors", ()), *(f"{check}: {why}" for check, why in new.get("missing", {}).items()))
        )
        yield Change(
            "verdict", f"{old['verdict']} -> {new['verdict']}{': ' if reasons else ''}{reasons}", worse=grave > 0
        )
    yield from _named(old, new, "cause", _causes)
    yield from _named(old, new, "warning", _warnings)
    yield from _table(old, new)
    yield from _accuracy(old, new)
    yield from _speed(old, new)


def _causes(one: Record) -> dict[str, str]:
    return {cause["name"]: f"{cause['name']} in {', '.join(cause['checks'])}" for cause in one.get("causes", ())}


def _warnings(one: Record) -> dict[str, str]:
    return {f"{mark['name']} {mark['format']}": f"{mark['name']}: {mark['text']}" for mark in one.get("warnings", ())}


def _named(old: Record, new: Record, word: str, of: Any) -> Iterator[Change]:
    """What has come, and what has gone, by its name."""
    was, now = of(old), of(new)
    for name in now.keys() - was.keys():
        yield Change("new", f"{word} {now[name]}", worse=True)
    for name in was.keys() - now.keys():
        yield Change("gone", f"{word} {was[name]}", worse=False)


def _table(old: Record, new: Record) -> Iterator[Change]:
    """Cells of the table, and the mode of the gradient, that are not what they were."""
    for part in ("row", "extended"):
        was, now = old.get(part, {}), new.get(part, {})
        for name in NARROW:
            if was.get(name, "") != now.get(name, ""):
                words = " -> ".join(WORDS.get(one.get(name, ""), "not asked") for one in (was, now))
                yield Change("table", f"{' '.join(NARROW[name])}: {words}")
    if old["gradient"] != new["gradient"]:
        yield Change("gradient", f"{old['gradient']} -> {new['gradient']}")


def _accuracy(old: Record, new: Record) -> Iterator[Change]:
    was, now = old.get("accuracy", {}), new.get("accuracy", {})
    for name in was.keys() & now.keys():
        first, second = (_number(one[name]["share"]) for one in (was, now))
        if max(first, second) > max(LEAST, NOTICED * min(first, second)):
            text = f"{name}: error {first:.2g} -> {second:.2g} of what is allowed"
            yield Change("accuracy", text)


def _number(share: Any) -> float:
    """A share of a record; what is not a number is as bad as an infinite one."""
    return math.inf if math.isnan(float(share)) else float(share)


def _speed(old: Record, new: Record) -> Iterator[Change]:
    """Timings beside the same baseline whose intervals have no point in common."""
    was = {(label(one), one["baseline"]): one["ratio"] for one in old["speed"]}
    for one in new["speed"]:
        before, now = was.get((label(one), one["baseline"])), one["ratio"]
        if before is None or (now["low"] <= before["high"] and before["low"] <= now["high"]):
            continue
        slower = now["low"] > before["high"]
        intervals = " -> ".join(
            f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" for ratio in (before, now)
        )
        yield Change("slower" if slower else "quicker", f"{label(one)}: {intervals} x {one['baseline']}", worse=slower)
