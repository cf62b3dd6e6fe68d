"""What a run found, as plain data: comparisons, findings, verdicts. Numbers and strings only; JSON both ways."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

WITNESS = 10.0
"""A difference counts as a witness of a "no" from ten times what rounding could explain."""

PASSED, FAILED, INCONCLUSIVE, ERROR = "passed", "failed", "inconclusive", "error"
SKIPPED = "skipped"

Metrics = Mapping[str, float]
"""Measured shares by key; two measurements of one key merge into the larger.

Keys: "row/COLUMN", "accuracy/PASS FORMAT/CLASS", "gradient/MODE", "curve/PASS FORMAT/AXIS/PLACE"."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One law on one case: how much was compared, and how close it came to what is allowed."""

    law: str
    compared: int
    bound_ratio: float  # largest of error / allowed; above 1 the law does not hold
    observed: float = 0.0
    allowed: float = 0.0
    where: tuple[int, ...] = ()
    detail: str = ""
    metrics: Metrics = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)  # what the implementation does not offer, and why
    notes: Mapping[str, str] = field(default_factory=dict)  # information, never a finding
    seeks: bool = False  # the law is a "no" on this case: a share from WITNESS on shows it, none breaks it

    @property
    def holds(self) -> bool:
        return self.bound_ratio <= 1.0


def worst(*comparisons: Comparison) -> Comparison:
    """The comparison nearest to failing, with the counts and facts of all."""
    top = max(comparisons, key=lambda c: c.bound_ratio)
    metrics = merge(c.metrics for c in comparisons)
    count = sum(c.compared for c in comparisons)
    refused = {what: why for c in comparisons for what, why in c.refused.items()}
    notes = {what: said for c in comparisons for what, said in c.notes.items()}
    return Comparison(
        top.law, count, top.bound_ratio, top.observed, top.allowed, top.where, top.detail, metrics, refused, notes
    )


def merge(metrics: Iterable[Metrics]) -> dict[str, float]:
    """Facts of several measurements: the largest share for each key."""
    out: dict[str, float] = {}
    for part in metrics:
        for key, share in part.items():
            out[key] = max(out.get(key, 0.0), share)
    return out


@dataclass(frozen=True, slots=True)
class Finding:
    """A law that does not hold, on the smallest case found."""

    check: str
    law: str
    observed: float
    allowed: float
    where: tuple[int, ...]
    case: Mapping[str, Any]
    source: str = ""
    detail: str = ""
    replay: str = ""  # the case, as normcheck.replay writes it; in a report, the command that repeats it
    likely: str = ""  # the fault that it looks like, with what it does
    remedy: str = ""  # the convention that would turn it into a pass, if it is meant
    script: tuple[str, ...] = ()  # plain code that shows it without normcheck

    def record(self) -> dict[str, Any]:
        """As the JSON document has it."""
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
        }


def number(value: float) -> float | str:
    """A number that strict JSON can hold: infinities and NaN as words."""
    return value if math.isfinite(value) else str(value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check asked of one implementation."""

    kind: str
    target: str
    check: str
    status: str  # passed, failed, inconclusive, error, skipped
    compared: int = 0
    bound_ratio: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    finding: Finding | None = None
    reason: str = ""  # why it was skipped, or what went wrong
    usage: bool = False  # the reason is the caller's: the target cannot be loaded or bound
    seconds: float = 0.0
    expected: str = ""  # a known finding of this target that was met, with its reason
    absent: Mapping[str, str] = field(default_factory=dict)  # what the implementation does not offer, and why
    contract: Mapping[str, str] = field(default_factory=dict)  # conventions that differ from the default
    notes: Mapping[str, str] = field(default_factory=dict)  # information: what was seen and is no fault
    diagnosis: tuple[str, ...] = ()  # names of the faults that the finding looks like, most likely first

    def record(self) -> dict[str, Any]:
        """As plain data, for the journey from a worker process."""
        out: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("kind", "target", "check", "status", "compared", "reason", "usage", "seconds", "expected")
        }
        out["bound_ratio"] = number(self.bound_ratio)
        out["metrics"] = {key: number(share) for key, share in self.metrics.items()}
        out["absent"], out["contract"] = dict(self.absent), dict(self.contract)
        out["notes"], out["diagnosis"] = dict(self.notes), list(self.diagnosis)
        out["finding"] = None if self.finding is None else self.finding.record()
        return out


def outcome(record: Mapping[str, Any]) -> Outcome:
    """The inverse of `Outcome.record`."""
    values = dict(record)
    values["bound_ratio"] = float(values["bound_ratio"])
    values["metrics"] = {key: float(share) for key, share in values["metrics"].items()}
    values["diagnosis"] = tuple(values["diagnosis"])
    found = values["finding"]
    if found is not None:
        found = dict(found)
        found["where"] = tuple(found["where"])
        found["script"] = tuple(found["script"])
        found |= {key: float(found[key]) for key in ("observed", "allowed")}
        values["finding"] = Finding(**found)
    return Outcome(**values)
