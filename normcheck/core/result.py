"""The results of a run as plain data: comparisons, findings and outcomes, with conversion to and from JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.floats import FORMATS
from normcheck.core.safe_text import safe_record

WITNESS = 10.0
"""The least bound ratio that shows a "no" of Table 1: ten times what rounding can explain."""

PASSED, FAILED, INCONCLUSIVE, ERROR = "passed", "failed", "inconclusive", "error"
SKIPPED = "skipped"

Metrics = Mapping[str, float]
"""Measured bound ratios by key; of two measurements with the same key the larger is kept.

Keys: "row/COLUMN", "accuracy/PASS FORMAT/CLASS", "gradient/MODE", "curve/PASS FORMAT/AXIS/PLACE"."""


@dataclass(frozen=True, slots=True)
class CheckWarning:
    """What is right, but weaker than in torch's own function of that kind: reported once, and no reason to fail a run.

    name: the same for every check that meets it. declare: the convention KEY=VALUE under which it is not reported.
    """

    name: str
    text: str  # what is weaker, by how much, and what to change
    declare: str = ""
    format: str = ""  # the one that it is about; empty: all

    def record(self) -> dict[str, str]:
        """The warning as a dict for the JSON document."""
        return {"name": self.name, "text": self.text, "declare": self.declare, "format": self.format}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One law on one case: how many entries were compared, and the largest error relative to its bound."""

    law: str
    compared: int
    bound_ratio: float  # the largest error / allowed; above 1 the law does not hold
    observed: float = 0.0
    allowed: float = 0.0
    where: tuple[int, ...] = ()
    detail: str = ""
    metrics: Metrics = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)  # what the implementation does not support: the reason
    notes: Mapping[str, str] = field(default_factory=dict)  # information that is never a finding
    warnings: tuple[CheckWarning, ...] = ()
    seeks: bool = False  # the law is a "no" of Table 1: a ratio of at least WITNESS shows it, and no ratio violates it

    @property
    def holds(self) -> bool:
        return self.bound_ratio <= 1.0


def worst(*comparisons: Comparison) -> Comparison:
    """The comparison with the largest bound ratio, with the counts, metrics and notes of all."""
    top = max(comparisons, key=lambda c: c.bound_ratio)
    metrics = merge(c.metrics for c in comparisons)
    count = sum(c.compared for c in comparisons)
    refused = {what: why for c in comparisons for what, why in c.refused.items()}
    notes = {what: note for c in comparisons for what, note in c.notes.items()}
    warnings = tuple(dict.fromkeys(warning for c in comparisons for warning in c.warnings))
    return Comparison(
        top.law, count, top.bound_ratio, top.observed, top.allowed, top.where, top.detail, metrics, refused, notes,
        warnings,
    )  # fmt: skip


def merge(metrics: Iterable[Metrics]) -> dict[str, float]:
    """The metrics of several measurements combined: the largest value of each key."""
    out: dict[str, float] = {}
    for part in metrics:
        for key, ratio in part.items():
            out[key] = max(out.get(key, 0.0), ratio)
    return out


@dataclass(frozen=True, slots=True)
class Finding:
    """A law that does not hold, on the most telling case found: the widest format, then the largest bound ratio."""

    check: str
    law: str
    observed: float
    allowed: float
    where: tuple[int, ...]
    case: Mapping[str, Any]
    source: str = ""
    detail: str = ""
    replay: str = ""  # the replay id of `core.replay`; in a report, the command that repeats the case
    likely: str = ""  # the most likely fault, with its description
    remedy: str = ""  # the contract option under which this would pass, if the behavior is intended
    script: tuple[str, ...] = ()  # lines of code that show the failure without normcheck
    cause: str = ""  # the name of what makes the law fail; findings of one cause have the same
    smallest: str = ""  # as replay, of the smallest case found, where that is another one

    def record(self) -> dict[str, Any]:
        """The finding as a dict for the JSON document."""
        return {
            "check": self.check,
            "law": self.law,
            "observed": number(self.observed),
            "allowed": number(self.allowed),
            "where": list(self.where),
            "case": dict(self.case),
            "source": self.source,
            "detail": self.detail,
            "replay": self.replay,
            "likely": self.likely,
            "remedy": self.remedy,
            "script": list(self.script),
            "cause": self.cause,
            "smallest": self.smallest,
        }


def conviction(found: Finding) -> tuple[float, float, float]:
    """A key to sort by, the largest the most telling: widest format, largest error beside its bound, smallest shape."""
    format = FORMATS.get(str(found.case.get("format", "")))
    ratio = found.observed / found.allowed if found.allowed > 0.0 else math.inf
    size = math.prod(found.case.get("shape", ()))
    return float(format.digits if format else 0), ratio, -float(size)


def number(value: float) -> float | str:
    """A value that strict JSON can represent: infinities and NaN become strings."""
    return value if math.isfinite(value) else str(value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check on one implementation."""

    kind: str
    target: str
    check: str
    status: str  # passed, failed, inconclusive, error, skipped
    compared: int = 0
    bound_ratio: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    finding: Finding | None = None
    reason: str = ""  # why it was skipped, or which error occurred
    usage: bool = False  # the error is one of usage: the target cannot be loaded or bound
    seconds: float = 0.0
    expected: str = ""  # the reason of the known finding of this target that matches; empty if none does
    absent: Mapping[str, str] = field(default_factory=dict)  # what the implementation does not support: the reason
    contract: Mapping[str, str] = field(default_factory=dict)  # conventions that differ from the default
    notes: Mapping[str, str] = field(default_factory=dict)  # information about observations that are not faults
    diagnosis: tuple[str, ...] = ()  # names of the faults that explain the finding, most likely first
    warnings: tuple[CheckWarning, ...] = ()
    failing: tuple[str, ...] = ()  # other formats in which the law does not hold on the case of the finding
    input_shapes: tuple[str, ...] = ()  # of the contract, on which something was compared

    def record(self) -> dict[str, Any]:
        """The outcome as plain values, for sending it from a worker process; `outcome` is the inverse."""
        out: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("kind", "target", "check", "status", "compared", "reason", "usage", "seconds", "expected")
        }
        out["bound_ratio"] = number(self.bound_ratio)
        out["metrics"] = {key: number(ratio) for key, ratio in self.metrics.items()}
        out["absent"], out["contract"] = dict(self.absent), dict(self.contract)
        out["notes"], out["diagnosis"], out["failing"] = dict(self.notes), list(self.diagnosis), list(self.failing)
        out["input_shapes"] = list(self.input_shapes)
        out["warnings"] = [warning.record() for warning in self.warnings]
        out["finding"] = None if self.finding is None else self.finding.record()
        made: dict[str, Any] = safe_record(out)
        return made


def outcome(record: Mapping[str, Any]) -> Outcome:
    """The inverse of `Outcome.record`."""
    values = dict(record)
    values["bound_ratio"] = float(values["bound_ratio"])
    values["metrics"] = {key: float(ratio) for key, ratio in values["metrics"].items()}
    values["diagnosis"], values["failing"] = tuple(values["diagnosis"]), tuple(values["failing"])
    values["input_shapes"] = tuple(values["input_shapes"])
    values["warnings"] = tuple(CheckWarning(**warning) for warning in values["warnings"])
    found = values["finding"]
    if found is not None:
        found = dict(found)
        found["where"] = tuple(found["where"])
        found["script"] = tuple(found["script"])
        found |= {key: float(found[key]) for key in ("observed", "allowed")}
        values["finding"] = Finding(**found)
    return Outcome(**values)
