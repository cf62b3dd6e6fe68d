"""A ratio beside that of an earlier run on the same machine, as pytest-benchmark has saved it.

Ratios to torch's own function are compared, not times: they outlive a busy hour, and both have intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, WITHIN

OWN = "normcheck"
"""Under this name a saved run tells what else the machine was: torch, its threads, the device."""

QUESTION = ("kind", "target", "sets", "n", "pass", "format", "cache", "device", "baseline")
"""What must be the same in an entry for its ratio to be that of before."""

NONE = "none saved"


@dataclass(frozen=True, slots=True)
class Regression:
    """What became of a ratio. before: low and high of the saved one; None where there is none."""

    verdict: str
    limit: float
    before: tuple[float, float] | None = None
    source: str = ""

    def record(self) -> dict[str, Any]:
        """Keys: verdict, limit, before (low and high, or null), source (the saved file)."""
        before = None if self.before is None else list(self.before)
        return {"verdict": self.verdict, "limit": self.limit, "before": before, "source": self.source}


def machine(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two runs of pytest-benchmark runs of one machine: its processors, torch, threads and device."""
    cpu, own = info.get("cpu", {}), info.get(OWN, {})
    return cpu.get("brand_raw"), cpu.get("count"), own.get("torch"), own.get("threads"), own.get("device")


def judged(
    entry: Mapping[str, Any], runs: Iterable[tuple[Any, Mapping[str, Any]]], info: Mapping[str, Any], limit: float
) -> Regression:
    """Whether a ratio grew beyond `limit` times that of the latest saved run of this machine.

    entry: of the record's list, with kind and target. runs: pairs of a name and a document, the oldest first.
    "slower": even the least ratio now is more than that beyond the most before. "none saved": there is nothing to
    hold it against.
    """
    found = _latest(entry, runs, info)
    if found is None:
        return Regression(NONE, limit)
    source, low, high = found
    return Regression(_verdict(entry["ratio"], low, high, limit), limit, (low, high), source)


def _verdict(now: Mapping[str, float], low: float, high: float, limit: float) -> str:
    if now["low"] > limit * high:
        return SLOWER
    return WITHIN if now["high"] <= limit * low else INCONCLUSIVE


def _latest(
    entry: Mapping[str, Any], runs: Iterable[tuple[Any, Mapping[str, Any]]], info: Mapping[str, Any]
) -> tuple[str, float, float] | None:
    found = None
    for name, document in runs:
        if machine(document.get("machine_info", {})) != machine(info):
            continue
        for saved in _entries(document):
            if all(saved.get(key) == entry.get(key) for key in QUESTION):
                found = str(name), float(saved["ratio"]["low"]), float(saved["ratio"]["high"])
    return found


def _entries(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    extras = (one.get("extra_info", {}) for one in document.get("benchmarks", ()))
    return [extra for extra in extras if {"low", "high"} <= set(extra.get("ratio", {}))]
