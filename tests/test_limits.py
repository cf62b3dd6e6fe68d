"""A pass against a simulated machine: what the record holds and what the terminal says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from normcheck.bench import limits
from normcheck.bench.bandwidth import BandwidthCurve, BandwidthPoint
from normcheck.bench.caches import CacheLevel
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.growth import INCONCLUSIVE, LINEAR, QUADRATIC, fit
from normcheck.bench.speed import case_of
from normcheck.core.claim import Implementation
from normcheck.families import bind as subject
from normcheck.report import speed

F = torch.nn.functional
HONEST = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))
TEN = BandwidthCurve(
    (BandwidthPoint(1 << 12, 10e9, 11e9, "copy"), BandwidthPoint(1 << 26, 10e9, 11e9, "copy")),
    (CacheLevel("L2", 1 << 19),),
    1e-6,
    1,
)


def measured(rate: float, part: str = "forward", limit: float | None = None, found: Any = HONEST) -> limits.SpeedLimits:
    """A pass that moves its least at a rate, in bytes a second."""
    case = case_of(found, SpeedQuestion(32, 768, part))
    moved = limits.traffic(found.normalizer, case, part).bytes
    return limits.measure_limits(found, case, part, moved / rate, limit, TEN)


def clones(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x.clone(), normalized_shape, weight, bias, eps)


def centers_by_a_matrix(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Takes the mean by multiplication with a matrix of width times width."""
    n = normalized_shape[-1]
    centered = x @ (torch.eye(n, dtype=x.dtype) - torch.full((n, n), 1.0 / n, dtype=x.dtype))
    y = centered * torch.rsqrt(centered.square().mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


MATRIX = subject(Implementation("layer_norm", centers_by_a_matrix))


def test_the_terminal_says_share_and_memory() -> None:
    assert limits.describe(measured(5e9)) == "50 % of 10 GB/s (L2), 1.00 times the memory needed"
    assert limits.describe(measured(5e9, "backward")) == "50 % of 10 GB/s (L2)"


def test_it_names_hidden_copies() -> None:
    found = measured(5e9, found=subject(Implementation("layer_norm", clones)))

    assert limits.describe(found).endswith("; copy by aten::clone in forward (32x768, 98304 bytes)")


def test_it_says_a_measurement_error() -> None:
    assert limits.describe(measured(50e9)).startswith("measurement error: 50.0 GB/s of the least that must be moved")


def test_an_entry_is_plain_data() -> None:
    entry = json.loads(json.dumps(limits.entry(measured(5e9, "both", 1.2)), allow_nan=False))

    assert entry["bandwidth"]["share"] == pytest.approx(0.5)
    assert entry["traffic"]["bytes"] == entry["traffic"]["read"] + entry["traffic"]["written"]
    assert entry["memory"]["pass"] == "both"
    assert (entry["limit_memory"], entry["memory_verdict"]) == (1.2, "within")


def test_memory_is_judged_only_if_asked() -> None:
    assert limits.entry(measured(5e9))["memory_verdict"] is None
    found = measured(5e9, limit=1.5, found=subject(Implementation("layer_norm", clones)))

    assert limits.entry(found)["memory_verdict"] == "more"


def test_the_roofline_is_plain_data() -> None:
    entry = json.loads(json.dumps(limits.ceiling_entry(TEN), allow_nan=False))

    assert entry["plateaus"] == {"memory": 10e9}
    assert [p["level"] for p in entry["points"]] == ["L2", "memory"]


def few_rows(found: Any) -> Callable[[int], Any]:
    return lambda width: case_of(found, SpeedQuestion(4, width, "forward"))


def test_memory_tells_a_matrix_from_rows() -> None:
    """Deterministic: bytes are counted."""
    assert limits.memory_growth(MATRIX, few_rows(MATRIX), "forward").verdict == QUADRATIC
    assert limits.memory_growth(HONEST, few_rows(HONEST), "forward").verdict == LINEAR


def test_too_few_sizes_say_nothing() -> None:
    """Two sizes, and the second takes longer than is allowed."""
    found = limits.time_growth(lambda size: lambda: float(size), (1, 2, 3), longest=1.5)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == "only 2 sizes could be timed, 6 are needed"


def test_growth_that_one_sweep_cannot_tell_is_asked_of_two() -> None:
    """As where other work took the processor during the larger sizes of the first."""
    sizes = tuple(1 << k for k in range(4, 16))
    made: dict[int, int] = {}

    def make(size: int):
        made[size] = made.get(size, 0) + 1
        slowed = 30.0 if made[size] == 1 and size in (256, 4096, 32768) else 1.0
        return lambda: 1e-6 * size * slowed

    assert fit(sizes, [make(size)() for size in sizes]).verdict == INCONCLUSIVE
    made.clear()

    found = limits.time_growth(make, sizes, longest=9.0)

    assert (found.verdict, found.sizes) == (LINEAR, sizes)
    assert found.values == tuple(1e-6 * size for size in sizes)


def test_growth_in_words_and_as_data() -> None:
    sizes = tuple(1 << k for k in range(4, 14))
    grown = fit(sizes, [1e-9 * n * (3.0 if n > 512 else 1.0) for n in sizes])
    entry = {"over": "width", "pass": "forward", "memory": None, "time": json.loads(json.dumps(grown.record()))}

    assert entry["time"]["verdict"] == LINEAR
    assert entry["time"]["jumps"][0]["above"] == 1024
    assert speed.growth(entry).startswith("forward takes width^1.00 [")
    assert speed.growth(entry).endswith(", 3.0 times at 512 to 1024: linear")
