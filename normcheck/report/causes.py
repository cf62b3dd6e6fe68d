"""What a record says of causes and warnings, in words that every report shares. Records of older runs have neither."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from normcheck.report.message import CONVENTIONS, UNEXPLAINED, case_words, is_exception, measured

MOST_CHECKS, ON_A_SCREEN = 6, 3
"""Checks that are named for one cause, and in a terminal; of the others only the number is given."""

COMMANDS = ("explain", "replay", "if meant")
"""Labels of texts that are commands."""


def headline(record: Mapping[str, Any]) -> str:
    """The verdict with the number of causes, of laws that they break, and of warnings.

    >>> headline({"verdict": "failed", "causes": [{"checks": ["value", "sign"]}], "warnings": []})
    'failed: 1 cause, 2 laws'
    """
    counts = []
    if record.get("causes"):
        laws = {check for cause in record["causes"] for check in cause["checks"]}
        counts = [_counted(len(record["causes"]), "cause"), _counted(len(laws), "law")]
    if record.get("warnings"):
        counts.append(_counted(warning_count(record), "warning"))
    return f"{record['verdict']}: {', '.join(counts)}" if counts else str(record["verdict"])


def warning_count(record: Mapping[str, Any]) -> int:
    """How many warnings are shown: those with equal texts are one."""
    return len({one["text"] for one in record.get("warnings", ())})


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def grouped(record: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Every cause with its findings, the most telling one first; a finding that needs two causes is with the first.

    A finding without a cause, as those of older runs, is one of its own.
    """
    left = list(record["findings"])
    for one in record.get("causes", ()):
        own = [finding for finding in left if one["name"] in str(finding.get("cause", "")).split("+")]
        left = [finding for finding in left if finding not in own]
        yield one, sorted(own, key=lambda finding: finding != one["finding"])
    yield from ((_of_check(finding), [finding]) for finding in left)


def _of_check(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A cause that has the name of the one check that fails by it."""
    text = {"name": finding["check"], "story": finding["law"], "source": finding.get("source", "")}
    return text | {"declare": finding.get("remedy", ""), "checks": [finding["check"]], "finding": finding}


def title(cause: Mapping[str, Any]) -> str:
    """A cause in a few words.

    >>> title({"name": "eps-ignored", "checks": ["value", "eps-is-read"], "declare": ""})
    'eps-ignored, 2 laws'
    >>> title({"name": "weight-offset-one", "checks": ["conventions"], "declare": "weight=1+w"})
    'weight-offset-one, weight=1+w is not declared'
    """
    how = f"{cause['declare']} is not declared" if cause["declare"] else _counted(len(cause["checks"]), "law")
    return f"{cause['name']}, {how}"


def cause(record: Mapping[str, Any], *, meant: bool = True, most: int = MOST_CHECKS) -> str:
    """One cause in a few sentences: its name, what it does, the case that convinces, the checks that show it.

    The story of an exception has the case already. meant: with what declares it. most: how
    many checks are named.
    """
    checks = record["checks"]
    story = record["story"].partition(". ")[0].removesuffix(".")
    if record["name"] == UNEXPLAINED:
        story = "No known fault gives these numbers"
    declare = f" If this is meant, declare {record['declare']}." if meant and record["declare"] else ""
    more = f" and {len(checks) - most} more" if len(checks) > most else ""
    shown = f" {_telling(record['finding'])}." if not is_exception(record["finding"]) else ""
    broken = "" if checks == [CONVENTIONS] else f" Broken: {', '.join(checks[:most])}{more}."
    named = [] if story and is_exception(record["finding"]) else [str(record["name"])]
    return f"{': '.join([*named, *([story] if story else [])])}.{declare}{shown}{broken}"


def _telling(finding: Mapping[str, Any]) -> str:
    """The most telling finding in a clause.

    >>> case = {"format": "float64", "shape": [6, 2], "eps": 1e-05}
    >>> _telling({"observed": 0.5, "allowed": 0.1, "where": [4, 0], "case": case})
    'In float64 6x2: found 0.5 at [4, 0], 5 times what is allowed'
    >>> _telling({"observed": 0.0, "allowed": 0.0, "where": [], "detail": "x was written to", "case": case})
    'In float64 6x2: x was written to'
    """
    (_, text), *rest = measured(finding)
    return f"In {case_words(finding['case']).partition(',')[0]}: {'found ' if rest else ''}{text}"


def warnings(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The warnings, each in a sentence with what to declare where it is meant; equal texts in one."""
    by_text: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_text.setdefault(record["text"], []).append(record)
    for text, some in by_text.items():
        names = list(dict.fromkeys(one["name"] for one in some))
        declared = list(dict.fromkeys(one["declare"] for one in some if one["declare"]))
        words = "it" if declared == names else ", ".join(declared)
        yield f"{', '.join(names)}: {text}" + (f". If this is meant, declare {words}" if declared else "")


def input_shapes(record: Mapping[str, Any]) -> str:
    """How many checks compared on each input shape of the contract; empty if it has none.

    >>> input_shapes({"contract": {"input-shapes": "32x768"}, "input_shapes": {"32x768": 62}})
    '32x768 in 62 checks'
    >>> input_shapes({"contract": {"input-shapes": "32x768"}, "input_shapes": {}})
    '32x768 in no check of this run'
    """
    asked = record.get("input_shapes", {})
    if not asked:
        declared = record.get("contract", {}).get("input-shapes", "")
        return f"{declared} in no check of this run" if declared else ""
    return ", ".join(f"{shape} in {_counted(count, 'check')}" for shape, count in asked.items())


def short_target(record: Mapping[str, Any]) -> str:
    """The target without its module or file."""
    return str(record["target"]).rpartition(":")[2]


def warnings_of_all(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The warnings of several implementations, equal texts in one, each after the names that it is about."""
    targets: dict[str, dict[str, None]] = {}
    for record in records:
        for text in {one["text"]: None for one in record.get("warnings", ())}:
            targets.setdefault(text, {})[short_target(record)] = None
    every = [one for record in records for one in record.get("warnings", ())]
    for text, of in targets.items():
        (sentence,) = warnings(one for one in every if one["text"] == text)
        yield f"{', '.join(of)}: {sentence}"


def _declared(record: Mapping[str, Any]) -> list[str]:
    """The conventions that are declared already."""
    return [f"{key}={value}" for key, value in record.get("contract", {}).items()]


def lines(record: Mapping[str, Any], *, replay: bool = False, brief: bool = False) -> Iterator[tuple[str, str]]:
    """A label and a text for each cause and each warning, and the command that declares all causes, if it can.

    replay: with the command that asks the case of a cause again. brief: of all warnings the names alone.
    """
    yield from failing_lines(record, replay=replay, page=replay)
    names = dict.fromkeys(one["name"] for one in record.get("warnings", ()))
    if brief and names:
        yield "warning", f"{', '.join(names)}; -v tells more"
        return
    yield from (("warning", text) for text in warnings(record.get("warnings", ())))


def failing_lines(record: Mapping[str, Any], *, replay: bool = False, page: bool = False) -> Iterator[tuple[str, str]]:
    """A label and a text for each cause, the command that declares all causes, and what was found by format.

    page: with the command that prints the page of a fault.
    """
    found = record.get("causes", ())
    apart = not all(one["declare"] for one in found)  # else one command declares all
    for one in found:
        yield "cause", cause(one, meant=apart, most=ON_A_SCREEN)
        if page and one.get("source"):  # a known fault
            yield "explain", f"normcheck explain {one['name']}"
        if replay:
            yield "replay", one["finding"]["replay"]
    yield from conditions(record)


def conditions(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A label and a text: under which options all causes are meant, and what was found by format."""
    declared = [one["declare"] for one in record.get("causes", ())]
    if declared and all(declared):
        words = " ".join(f"--norm-contract {word}" for word in [*_declared(record), *declared])
        yield "if meant", f"pytest --norm {shlex.quote(record['kind'] + '=' + record['target'])} {words}"
    formats: dict[str, list[str]] = {}
    for name, word in record.get("formats", {}).items():
        formats.setdefault(word, []).append(name)
    if len(formats) > 1:
        yield "formats", "; ".join(f"{', '.join(names)}: {word}" for word, names in formats.items())
