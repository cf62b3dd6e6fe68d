"""From events to the JSON document of a run: one record for each implementation."""

from __future__ import annotations

import platform
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from normcheck import families
from normcheck.core.contract import ACCURACY_CLASSES, GRADIENTS, contract
from normcheck.core.errors import IN_BACKWARD, ON_SHAPES
from normcheck.core.events import Event, outcomes_of
from normcheck.core.floats import FORMATS
from normcheck.core.measured import INVARIANT, NOT_INVARIANT, cell, measured_extension, measured_row
from normcheck.core.result import (
    ERROR,
    FAILED,
    INCONCLUSIVE,
    PASSED,
    SKIPPED,
    Finding,
    Outcome,
    conviction,
    merge,
    number,
)
from normcheck.core.safe_text import safe_record
from normcheck.core.spec import COLUMN_NAMES
from normcheck.core.version import __version__
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.coverage import Coverage
from normcheck.engine.explainer import RAISES
from normcheck.frameworks import registry

MOST_SHAPES = 8
"""Shapes that are named in the story of an exception; of the others only the number is given."""

RIGHT, WARNING = "right", "warning"
"""What a format can be, beside failed."""

BINDING = "binding"
"""The topic of what is asked before all laws: whether it can be called, and its conventions."""

INCOMPLETE = "incomplete"
"""The verdict of an implementation of which a question that was to be asked has no answer."""

WHOLE = Coverage()
"""The coverage of a run that is complete with what it has."""


def gradient_mode(metrics: Mapping[str, float], claimed: str) -> str:
    """The mode whose closed form the gradient matches: the claimed one if it does, else the first, or "none"."""
    fits = [name for name in GRADIENTS if metrics.get(f"gradient/{name}", float("inf")) <= 1.0]
    return claimed if claimed in fits else fits[0] if fits else "none"


def accuracy(metrics: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Accuracy class by pass and format, with the largest bound ratio under the bound of that class."""
    shares: dict[str, dict[str, float]] = {}
    for key, share in metrics.items():
        topic, _, rest = key.partition("/")
        if topic == "accuracy":
            place, _, name = rest.rpartition("/")
            shares.setdefault(place, {})[name] = share
    out: dict[str, dict[str, Any]] = {}
    for place in sorted(shares):
        fit = next((name for name in ACCURACY_CLASSES if shares[place].get(name, float("inf")) <= 1.0), "none")
        out[place] = {"class": fit, "share": number(shares[place].get(fit, max(shares[place].values())))}
    return out


def gradient_shares(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Distance of the gradient from each closed form, in units of its bound; empty where no gradient was compared."""
    return {name: number(metrics[f"gradient/{name}"]) for name in GRADIENTS if f"gradient/{name}" in metrics}


def curves(metrics: Mapping[str, float]) -> dict[str, dict[str, list[list[Any]]]]:
    """By pass and format: pairs (2^k, ratio) over conditioning, (n, ratio) over width, in units of the sound bound."""
    points: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for key, share in metrics.items():
        topic, _, rest = key.partition("/")
        if topic == "curve":
            place, axis, at = rest.split("/")
            points.setdefault(place, {"condition": [], "width": []})[axis].append((int(at), share))
    return {
        place: {
            "condition": [[2.0**k, number(share)] for k, share in sorted(axes["condition"])],
            "width": [[n, number(share)] for n, share in sorted(axes["width"])],
        }
        for place, axes in sorted(points.items())
    }


def _verdict(outcomes: Sequence[Outcome], missing: Mapping[str, str]) -> str:
    statuses = {o.status for o in outcomes}
    for status in (ERROR, FAILED):
        if status in statuses:
            return status
    if missing:
        return INCOMPLETE
    return PASSED if any(o.compared for o in outcomes) else INCONCLUSIVE


def implementation(
    kind: str, target: str, outcomes: Sequence[Outcome], missing: Mapping[str, str] | None = None, deselected: int = 0
) -> dict[str, Any]:
    """The record of one implementation, from its outcomes.

    missing: checks without an answer, with the reason. deselected: the number of checks that the user left out.
    """
    metrics = merge(o.metrics for o in outcomes)
    counts = dict.fromkeys((PASSED, FAILED, INCONCLUSIVE, SKIPPED, ERROR), 0)
    for o in outcomes:
        counts[o.status] += 1
    declared: dict[str, str] = {}
    absent: dict[str, str] = {}
    for o in outcomes:
        absent |= o.absent
        declared |= o.contract
    passing = [o for o in outcomes if o.status == PASSED and 0.0 < o.bound_ratio <= 1.0]  # an accepted finding has more
    tightest = max(passing, key=lambda o: o.bound_ratio, default=None)
    record: dict[str, Any] = {
        "kind": kind,
        "target": target,
        "verdict": _verdict(outcomes, missing or {}),
        "row": measured_row(metrics),
        "extended": {},
        "gradient": gradient_mode(metrics, contract(declared).gradient),
        "diagnosis": list(dict.fromkeys(name for o in outcomes if o.finding is not None for name in o.diagnosis)),
        "causes": causes(outcomes),
        "warnings": warnings(outcomes),
        "formats": formats(outcomes),
        "findings": [o.finding.record() for o in outcomes if o.finding is not None],
        "checks": counts,
        "laws": _by_topic(outcomes),
        "compared": sum(o.compared for o in outcomes),
        "seconds": round(sum(o.seconds for o in outcomes), 3),
        "invariances": {
            key.partition("/")[2]: cell(share) for key, share in metrics.items() if key.startswith("invariance/")
        },
        "speed": [],
        "growth": [],
        "contract": declared,
        "accuracy": accuracy(metrics),
        "curves": curves(metrics),
        "gradient_shares": gradient_shares(metrics),
        "tightest": None if tightest is None else {"check": tightest.check, "share": number(tightest.bound_ratio)},
        "not_checked": absent | {o.check: o.reason for o in outcomes if o.status in (SKIPPED, INCONCLUSIVE)},
        "input_shapes": dict(Counter(shape for o in outcomes for shape in o.input_shapes)),
        "information": {what: text for o in outcomes for what, text in o.notes.items()},
        "expected_findings": {o.check: o.expected for o in outcomes if o.expected},
        "errors": list(dict.fromkeys(o.reason for o in outcomes if o.status == ERROR)),
        "missing": dict(missing or {}),
        "deselected": deselected,
        "expected": None,
        "expected_extended": {},
        "printed": [],
    }
    if kind in families.ENTRIES:
        entry = families.get(kind)
        family = families.of(entry)
        row, extended = family.row(entry), family.extended(entry)
        record["expected"] = None if row is None else _words(row.cells)
        record["extended"] = measured_extension(metrics, extended)
        record["expected_extended"] = {name: _word(yes) for name, yes in extended.items()}
        record["printed"] = [
            {"paper": str(p.paper), "short": p.paper.short, "row": _words(p.row.cells)} for p in families.printed(entry)
        ]
        if any(key.startswith("row in evaluation/") for key in metrics):
            record["row_expected_statistics"] = measured_row(metrics, "row in evaluation")
            record["extended_expected_statistics"] = measured_extension(metrics, extended, "extended in evaluation")
    return record


def _by_topic(outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """The status of each law, by topic, in the order in which they are listed."""
    out: dict[str, dict[str, str]] = {}
    for o in outcomes:
        out.setdefault(families.TOPICS.get(o.check, BINDING), {})[o.check] = o.status
    return out


def causes(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """What makes laws fail, in the order in which it was found: each with its checks and its most telling finding."""
    by_name: dict[str, list[Outcome]] = {}
    for one in outcomes:
        if one.finding is not None:
            for name in one.finding.cause.split("+"):  # of two faults that are needed together, each is a cause
                by_name.setdefault(name, []).append(one)
    return [_cause(name, some) for name, some in by_name.items()]


def _cause(name: str, some: Sequence[Outcome]) -> dict[str, Any]:
    findings = [one.finding for one in some if one.finding is not None]
    fault, lines = families.FAULTS.get(name), families.wrong_lines(name)
    return {
        "name": name,
        "story": fault.story if fault else _raised(findings) if name.startswith(RAISES) else "",
        "source": fault.source if fault else "",
        "declare": next((one.remedy for one in findings if one.check == CONVENTIONS), ""),
        "checks": list(dict.fromkeys(one.check for one in findings)),
        "finding": max(findings, key=conviction).record(),
        "wrong": [] if lines is None else list(lines.wrong),
        "right": "" if lines is None else lines.right,
    }


def _raised(findings: Sequence[Finding]) -> str:
    """In which pass an implementation raises, with which message, and on which shapes; the first message of several."""
    detail = findings[0].detail
    message = detail.partition(" raised ")[2].rpartition(" (a ")[0].replace(IN_BACKWARD, "")
    if not message:
        return detail
    where = "Its backward" if all(IN_BACKWARD in one.detail for one in findings) else "It"
    shapes = sorted({shape for one in findings for shape in _shapes(one)}, key=_sizes)
    some = ", ".join(_of_every_rank(shapes)[:MOST_SHAPES])
    more = f" and {len(shapes) - MOST_SHAPES} more shapes" if len(shapes) > MOST_SHAPES else ""
    return f"{where} raises {message.rstrip('.')}, on inputs of {some}{more}"


def _shapes(finding: Finding) -> list[str]:
    """The shapes that an exception names, or else that of the case."""
    named = finding.detail.partition(ON_SHAPES)[2]
    return named.split("; ") if named else ["x".join(map(str, finding.case.get("shape", ())))]


def _of_every_rank(shapes: Sequence[str]) -> list[str]:
    """Sorted shapes, the smallest of each rank first, then the next of each."""
    ranks = [_sizes(shape)[0] for shape in shapes]
    order = sorted(range(len(shapes)), key=lambda i: (ranks[:i].count(ranks[i]), i))
    return [shapes[i] for i in order]


def _sizes(shape: str) -> tuple[int, list[int]]:
    """A key to sort shapes by: the rank, then each size."""
    return shape.count("x"), [int(size) for size in re.findall(r"\d+", shape)]


def formats(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """What was found in each format that was served or refused: "right", "warning" or "failed".

    A convention that differs fails in all of them: what is right there follows the convention that was found.
    """
    places = {
        key.split("/")[1].rpartition(" ")[2] for o in outcomes for key in o.metrics if key.startswith("accuracy/")
    }
    warned = {warning.format for o in outcomes for warning in o.warnings if warning.format}
    failed = {str(o.finding.case.get("format", "")) for o in outcomes if o.finding is not None}
    failed |= {name for o in outcomes if o.finding is not None for name in o.failing}
    if any(o.finding is not None and o.check == CONVENTIONS for o in outcomes):
        failed |= places | warned
    words = dict.fromkeys(places, RIGHT) | dict.fromkeys(warned, WARNING) | dict.fromkeys(failed, FAILED)
    return {name: words[name] for name in FORMATS if name in words}


def warnings(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    """What is right but weaker than in torch, each once."""
    found = {warning.name: warning.record() for one in outcomes for warning in one.warnings}
    return list(found.values())


def _word(yes: bool) -> str:
    return INVARIANT if yes else NOT_INVARIANT


def _words(cells: tuple[bool, ...]) -> dict[str, str]:
    return {name: _word(yes) for name, yes in zip(COLUMN_NAMES, cells, strict=True)}


def environment() -> dict[str, str]:
    """Platform, and the versions of Python and of the loaded packages that a result may depend on."""
    out = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    for name in sorted({"hypothesis", "pytest", *registry.packages()} & set(sys.modules)):
        out[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return out


def document(events: Iterable[Event], settings: Mapping[str, Any], coverage: Coverage = WHOLE) -> dict[str, Any]:
    """The JSON document of a stream of events. settings: those that the run was made with."""
    return run(__version__, outcomes_of(events), settings, coverage)


def run(
    version: str, outcomes: Iterable[Outcome], settings: Mapping[str, Any], coverage: Coverage = WHOLE
) -> dict[str, Any]:
    """The document of outcomes; implementations are in the order of the questions, then of their first outcomes."""
    grouped: dict[tuple[str, str], list[Outcome]] = {(kind, target): [] for kind, target, _ in coverage.asked}
    for o in outcomes:
        grouped.setdefault((o.kind, o.target), []).append(o)
    missing = coverage.missing({(o.kind, o.target, o.check) for some in grouped.values() for o in some})
    made: dict[str, Any] = safe_record({
        "normcheck": version,
        "complete": not missing and not coverage.ended,
        "ended": coverage.ended,
        "deselected": len(coverage.deselected),
        "environment": environment(),
        "settings": dict(settings),
        "implementations": [
            implementation(
                kind, target, some,
                {check: why for (*of, check), why in missing.items() if of == [kind, target]},
                sum(one[:2] == (kind, target) for one in coverage.deselected),
            )
            for (kind, target), some in grouped.items()
        ],
    })  # fmt: skip
    return made
