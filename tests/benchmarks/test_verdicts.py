"""The claims about verdicts, measured on this machine as it is: minutes, so no part of an ordinary run.

pytest tests/benchmarks/test_verdicts.py -s --benchmark-disable
"""

from __future__ import annotations

import time

import pytest
import torch

from normcheck.adapters.bind import subject
from normcheck.bench.pairs import SLOWER, Budget
from normcheck.bench.speed import Question, measure
from normcheck.claim import Implementation

QUICK = Budget(seconds=0.4)
SHAPES = ((1, 768), (7, 1024), (512, 768), (64, 4096))


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


def test_the_same_function_is_not_called_slower() -> None:
    """Two hundred times torch's function beside itself, over shapes: at most 1 % called slower."""
    found = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))
    verdicts = [measure(found, Question(*SHAPES[i % len(SHAPES)], "forward"), 1.0, QUICK).verdict for i in range(200)]
    print({v: verdicts.count(v) for v in set(verdicts)})

    assert verdicts.count(SLOWER) <= 2


@pytest.mark.parametrize(("share", "least"), [(0.10, 95), (0.05, 70)])
def test_a_spin_is_seen(share: float, least: int) -> None:
    """A hundred runs of a function slowed by a calibrated spin, each within 10 s."""
    question = Question(512, 768, "forward")
    plain = subject(Implementation("layer_norm", layer_norm))
    seconds = measure(plain, question, 1.0, QUICK).seconds
    found = subject(Implementation("layer_norm", slowed(share, seconds)))
    slower, longest, ratios = 0, 0.0, []
    for _ in range(100):
        started = time.perf_counter()
        one = measure(found, question, 1.0, QUICK)
        longest = max(longest, time.perf_counter() - started)
        slower += one.verdict == SLOWER
        ratios.append(one.ratio.value)
    ratios.sort()
    print(f"{share:.0%}: {slower} of 100, longest {longest:.1f} s, median ratio {ratios[50]:.3f}")

    assert slower >= least
    assert longest < 10.0
