"""A ratio against one that pytest-benchmark has saved."""

from __future__ import annotations

from typing import Any

import pytest

from normcheck.bench.saved import compare_to_saved

HERE = {"cpu": {"brand_raw": "A", "count": 2}, "normcheck": {"torch": "2.13.0", "threads": 2, "device": "cpu"}}
QUESTION = {
    "kind": "layer_norm", "target": "mine.py:f", "sets": 1, "n": 768, "pass": "forward", "format": "float32",
    "cache": "warm", "device": "cpu", "baseline": "fused",
}  # fmt: skip


def entry(low: float, high: float, **changes: Any) -> dict[str, Any]:
    return QUESTION | {"ratio": {"low": low, "high": high}} | changes


def run(one: dict[str, Any], info: dict[str, Any] = HERE) -> dict[str, Any]:
    return {"machine_info": info, "benchmarks": [{"extra_info": {}}, {"extra_info": one}]}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.22, 1.25, "slower"), (1.15, 1.25, "inconclusive"), (1.0, 1.07, "within"), (0.5, 0.6, "within")],
)
def test_both_intervals_count(low: float, high: float, verdict: str) -> None:
    """Saved at [0.98, 1.10]: beyond 1.1 times that for certain is above 1.21, within it for certain below 1.078."""
    found = compare_to_saved(entry(low, high), [("0001", run(entry(0.98, 1.10)))], HERE, 1.1)

    assert found.verdict == verdict
    assert found.record() == {"verdict": verdict, "limit": 1.1, "before": [0.98, 1.10], "source": "0001"}


def test_the_latest_run_counts() -> None:
    runs = [("0001", run(entry(1.0, 1.0))), ("0002", run(entry(2.0, 2.0)))]

    assert compare_to_saved(entry(2.0, 2.1), runs, HERE, 1.1).source == "0002"


@pytest.mark.parametrize(
    "info",
    [
        HERE | {"cpu": {"brand_raw": "B", "count": 2}},
        HERE | {"normcheck": {"torch": "2.12.0", "threads": 2, "device": "cpu"}},
        {},
    ],
)
def test_another_machine_is_no_baseline(info: dict[str, Any]) -> None:
    assert compare_to_saved(entry(9.0, 9.1), [("0001", run(entry(1.0, 1.0), info))], HERE, 1.1).verdict == "none saved"


@pytest.mark.parametrize("key", QUESTION)
def test_another_question_is_no_baseline(key: str) -> None:
    saved = entry(1.0, 1.0, **{key: "another"})

    assert compare_to_saved(entry(9.0, 9.1), [("0001", run(saved))], HERE, 1.1).verdict == "none saved"
