"""Growth and bandwidth as measured on this machine as it is: minutes, so no part of an ordinary run.

pytest tests/benchmarks/test_machine_limits.py -s --benchmark-disable
"""

from __future__ import annotations

import pytest
import torch

from normcheck.bench import limits
from normcheck.bench.bandwidth import MEASUREMENT_ERROR
from normcheck.bench.ceilings import bandwidth_curve
from normcheck.bench.grid import SpeedQuestion
from normcheck.bench.growth import LINEAR, QUADRATIC, Arm
from normcheck.bench.speed import case_of
from normcheck.bench.timing import TimedArm
from normcheck.bench.traffic import PASSES
from normcheck.core.claim import Implementation
from normcheck.families import bind as subject


def eager(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    centered = x - x.mean(-1, keepdim=True)
    y = centered * torch.rsqrt(centered.square().mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def matrix(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Takes the mean by multiplication with a matrix of width times width."""
    n = normalized_shape[-1]
    centered = x @ (torch.eye(n, dtype=x.dtype) - torch.full((n, n), 1.0 / n, dtype=x.dtype))
    y = centered * torch.rsqrt(centered.square().mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


TARGETS = {"fused": "torch.nn.functional:layer_norm", "eager": eager, "matrix": matrix}


def arms(name: str, sets: int | None, n: int | None, part: str = "forward"):
    found = subject(Implementation("layer_norm", TARGETS[name]))

    def make(size: int) -> Arm:
        question = SpeedQuestion(sets or size, n or size, part)
        return TimedArm(found, case_of(found, question), question)

    return make


@pytest.mark.parametrize(("name", "verdict"), [("fused", LINEAR), ("eager", LINEAR), ("matrix", QUADRATIC)])
def test_growth_with_width(name: str, verdict: str) -> None:
    grown = limits.time_growth(arms(name, 16, None), limits.WIDTHS)
    print(
        name,
        f"width^{grown.exponent:.2f} {grown.verdict}",
        (grown.low, grown.high),
        [f"{1e6 * t:.0f}" for t in grown.values],
    )

    assert grown.verdict == verdict


@pytest.mark.parametrize("name", ["fused", "eager"])
def test_growth_with_rows(name: str) -> None:
    grown = limits.time_growth(arms(name, None, 768), limits.ROWS)
    print(
        name,
        f"rows^{grown.exponent:.2f} {grown.verdict}",
        (grown.low, grown.high),
        [f"{1e6 * t:.0f}" for t in grown.values],
    )

    assert grown.verdict == LINEAR


@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("shape", [(7, 1024), (512, 768), (512, 4096), (4096, 4096)], ids=str)
def test_share_of_bandwidth(shape: tuple[int, int], part: str) -> None:
    """No pass of torch's own function moves its bytes faster than this machine can."""
    found = subject(Implementation("layer_norm", TARGETS["fused"]))
    question = SpeedQuestion(*shape, part)
    timed = TimedArm(found, case_of(found, question), question)
    times = sorted(timed() for _ in range(15))
    measured = limits.measure_limits(found, case_of(found, question), part, times[0])
    print(question, f"{1e6 * times[0]:.0f} us (median {1e6 * times[7]:.0f})", limits.describe(measured))

    assert measured.share.verdict != MEASUREMENT_ERROR


def test_the_roofline_of_this_machine() -> None:
    found = bandwidth_curve()
    print(
        {name: f"{rate / 1e9:.1f} GB/s" for name, rate in found.plateaus().items()}, f"call {1e6 * found.call:.2f} us"
    )

    rates = [point.rate for point in found.points]
    assert rates == sorted(rates, reverse=True)
