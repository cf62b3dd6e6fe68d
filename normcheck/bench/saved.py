"""A ratio compared with that of an earlier run on the same machine, as pytest-benchmark saved it.

Ratios to torch's own function are compared, not times: they stay the same on a busy machine, and both have intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, WITHIN

MACHINE_KEY = "normcheck"
"""The key under which a saved run has the rest of the machine's description: torch, its threads, the device."""

IDENTITY = ("kind", "target", "sets", "n", "pass", "format", "cache", "device", "baseline")
"""The keys of an entry that must be equal for two ratios to be comparable."""

NONE_SAVED = "none saved"


@dataclass(frozen=True, slots=True)
class Regression:
    """The comparison with a saved ratio. before: low and high of the saved one; None if there is none."""

    verdict: str
    limit: float
    before: tuple[float, float] | None = None
    source: str = ""

    def record(self) -> dict[str, Any]:
        """Keys: verdict, limit, before (low and high, or null), source (the saved file)."""
        before = None if self.before is None else list(self.before)
        return {"verdict": self.verdict, "limit": self.limit, "before": before, "source": self.source}


def machine_identity(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is equal in two runs of pytest-benchmark on one machine: processors, torch, threads, device."""
    cpu, own = _mapping(info.get("cpu")), _mapping(info.get(MACHINE_KEY))
    return cpu.get("brand_raw"), cpu.get("count"), own.get("torch"), own.get("threads"), own.get("device")


def compare_to_saved(
    entry: Mapping[str, Any], runs: Iterable[tuple[Any, Mapping[str, Any]]], info: Mapping[str, Any], limit: float
) -> Regression:
    """Whether a ratio grew beyond `limit` times that of the latest saved run of this machine.

    entry: of the record's list `speed`, with kind and target. runs: pairs of a name and a document, the oldest first.
    Verdict "slower": even the low end of the ratio now is above `limit` times the high end of the saved one. "within":
    even the high end now is at most `limit` times the low end of the saved one. "none saved": there is no comparable
    run.
    """
    latest = _latest_saved_ratio(entry, runs, info)
    if latest is None:
        return Regression(NONE_SAVED, limit)
    source, low, high = latest
    return Regression(_verdict(entry["ratio"], low, high, limit), limit, (low, high), source)


def _verdict(now: Mapping[str, float], low: float, high: float, limit: float) -> str:
    if now["low"] > limit * high:
        return SLOWER
    return WITHIN if now["high"] <= limit * low else INCONCLUSIVE


def _latest_saved_ratio(
    entry: Mapping[str, Any], runs: Iterable[tuple[Any, Mapping[str, Any]]], info: Mapping[str, Any]
) -> tuple[str, float, float] | None:
    latest = None
    for name, document in runs:
        if machine_identity(_mapping(document.get("machine_info"))) != machine_identity(info):
            continue
        for saved in _saved_entries(document):
            if all(saved.get(key) == entry.get(key) for key in IDENTITY):
                latest = str(name), float(saved["ratio"]["low"]), float(saved["ratio"]["high"])
    return latest


def _saved_entries(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The entries with a ratio; whatever else a file of another program or version has is passed over."""
    listed = document.get("benchmarks")
    extras = [_mapping(_mapping(one).get("extra_info")) for one in (listed if isinstance(listed, list) else ())]
    return [extra for extra in extras if _is_ratio(_mapping(extra.get("ratio")))]


def _mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def _is_ratio(value: Mapping[str, Any]) -> bool:
    """Whether both ends of an interval are finite numbers."""
    ends = [value.get("low"), value.get("high")]
    return all(isinstance(end, (int, float)) and abs(end) < math.inf for end in ends)
