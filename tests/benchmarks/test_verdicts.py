"""The claims about verdicts, measured on this machine as it is: minutes, so no part of an ordinary run.

pytest tests/benchmarks/test_verdicts.py -s --benchmark-disable
"""

from __future__ import annotations

import time

import pytest
import torch

from normcheck.bench.grid import DEFAULT_SHAPES, SpeedQuestion
from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, Budget, PairedTiming, compare
from normcheck.bench.speed import case_of
from normcheck.bench.timing import SavedCalls, make_arms
from normcheck.bench.torch_device import HOST
from normcheck.core.claim import Implementation
from normcheck.core.foreign_code import quiet
from normcheck.families import bind as subject


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)


def _loops(seconds: float) -> int:
    """Turns of an empty loop that take so long, the fastest of many tries."""
    best = float("inf")
    for _ in range(200):
        started = time.perf_counter()
        for _ in range(1000):
            pass
        best = min(best, time.perf_counter() - started)
    return max(1, round(seconds * 1000 / best))


def slowed(share: float, seconds: float):
    """Layer norm, and a spin of that share of its time."""
    loops = _loops(share * seconds)

    def spun(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        for _ in range(loops):
            pass
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    return spun


def beside(one, other, question: SpeedQuestion) -> PairedTiming:
    """One function beside another, at the limit 1: as a run with --norm-max-slowdown 1 decides."""
    found, base = (subject(Implementation("layer_norm", f)) for f in (one, other))
    with quiet():
        make = make_arms([found, base, base], case_of(base, question), question, HOST, [SavedCalls() for _ in range(3)])
        return compare(make, 1.0, Budget())


def test_the_same_function_is_called_no_different() -> None:
    """Two hundred times a function beside itself, over shapes and passes: at most 1 % slower or faster."""
    questions = [SpeedQuestion(*shape, part) for part in ("forward", "both") for shape in DEFAULT_SHAPES]
    found = [beside(layer_norm, layer_norm, questions[i % len(questions)]) for i in range(200)]
    verdicts = [one.verdict for one in found]
    half = sorted(one.ratio.relative_half_width for one in found)
    print(
        {v: verdicts.count(v) for v in set(verdicts)},
        "half an interval: median",
        f"{half[100]:.2%}, largest {half[-1]:.1%}",
    )
    print([(str(questions[i % len(questions)]), one) for i, one in enumerate(found) if one.verdict != INCONCLUSIVE])

    assert len(verdicts) - verdicts.count(INCONCLUSIVE) <= 2


@pytest.mark.parametrize(("share", "least"), [(0.10, 95), (0.05, 70)])
def test_a_spin_is_seen(share: float, least: int) -> None:
    """A hundred runs of a function slowed by a calibrated spin, each within 10 s."""
    question = SpeedQuestion(512, 768, "forward")
    seconds = beside(layer_norm, layer_norm, question).seconds
    spun = slowed(share, seconds)
    slower, longest, ratios = 0, 0.0, []
    for _ in range(100):
        started = time.perf_counter()
        one = beside(spun, layer_norm, question)
        longest = max(longest, time.perf_counter() - started)
        slower += one.verdict == SLOWER
        ratios.append(one.ratio.value)
    ratios.sort()
    print(f"{share:.0%}: {slower} of 100, longest {longest:.1f} s, ratio {ratios[0]:.3f} to {ratios[-1]:.3f}, median "
          f"{ratios[50]:.3f}")  # fmt: skip

    assert slower >= least
    assert longest < 10.0
