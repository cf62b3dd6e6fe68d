"""How fast a gradient is checked beside torch.autograd.gradcheck, in one run: ratios, and that neither is weaker.

Run with: pytest tests/benchmarks --benchmark-enable
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.families import CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.subject import Subject

ROWS, WIDTH = 32, 128
CHECK = CHECKS_BY_NAME["input-gradient"]


def layer_norm(x: torch.Tensor, normalized_shape: tuple[int, ...], eps: float = 1e-5) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x, normalized_shape, eps=eps)


def with_backward(formula):
    """A layer norm whose backward is the given formula of (g, xh, s, n)."""

    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, normalized_shape, eps):
            s = torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + eps)
            xh = (x - x.mean(-1, keepdim=True)) / s
            ctx.save_for_backward(xh, s)
            return xh

        @staticmethod
        def backward(ctx, g):
            xh, s = ctx.saved_tensors
            return formula(g, xh, s, xh.shape[-1]), None, None

    def norm(x: torch.Tensor, normalized_shape: tuple[int, ...], eps: float = 1e-5) -> torch.Tensor:
        return Norm.apply(x, normalized_shape, eps)

    return norm


def _variance_term(g, xh):
    return xh * (g * xh).mean(-1, keepdim=True)


WRONG = {
    "without the mean's term": lambda g, xh, s, n: (g - _variance_term(g, xh)) / s,
    "without the variance's term": lambda g, xh, s, n: (g - g.mean(-1, keepdim=True)) / s,
    "n - 1 in the variance's term": lambda g, xh, s, n: (
        (g - g.mean(-1, keepdim=True) - _variance_term(g, xh) * n / (n - 1)) / s
    ),
    "scaled by 1 + 1e-6": lambda g, xh, s, n: (g - g.mean(-1, keepdim=True) - _variance_term(g, xh)) / s * (1 + 1e-6),
}


def case():
    draw = Draw(seed=1, n=WIDTH, sets=ROWS, format="float64", affine="none")
    return small(families.get("layer_norm"), draw), draw


def bound(function) -> Subject:
    return subject(Implementation("layer_norm", function))


def gradcheck(function) -> bool:
    """Slow mode, at its defaults, on the same input."""
    x = torch.tensor(case()[0].x, requires_grad=True)
    return torch.autograd.gradcheck(lambda x: function(x, (WIDTH,), 1e-5), (x,), raise_exception=False)


def check(one: Subject) -> bool:
    """What normcheck asks of a gradient on this input: the closed form, entry by entry, within the bound."""
    return CHECK.ask(one, case()[0]).holds


def test_a_thousand_times_faster(benchmark: pytest.FixtureRequest) -> None:
    """The closed form at 32 x 128 takes at most a thousandth of gradcheck in slow mode, timed in turn."""
    one = bound(layer_norm)
    given = case()[0]
    assert CHECK.ask(one, given).holds
    benchmark(CHECK.ask, one, given)
    slow, fast = [], []
    for _ in range(3):
        started = time.perf_counter()
        assert gradcheck(layer_norm)
        slow.append(time.perf_counter() - started)
        for _ in range(50):
            started = time.perf_counter()
            assert CHECK.ask(one, given).holds
            fast.append(time.perf_counter() - started)
    ratio = float(np.median(slow) / np.median(fast))
    benchmark.extra_info["gradcheck_s"] = float(np.median(slow))
    benchmark.extra_info["normcheck_s"] = float(np.median(fast))
    benchmark.extra_info["ratio"] = ratio
    print(f"\ngradcheck {np.median(slow):.3f} s, normcheck {1e3 * np.median(fast):.3f} ms: {ratio:.0f} times")
    assert ratio >= 1000


@pytest.mark.parametrize("name", WRONG)
def test_no_weaker(name: str) -> None:
    """Every wrong backward that gradcheck finds, normcheck finds, and those that it accepts too."""
    wrong = with_backward(WRONG[name])
    found = not check(bound(wrong))
    words = {True: "rejects", False: "accepts"}
    print(f"\n{name}: gradcheck {words[not gradcheck(wrong)]}, normcheck {words[found]}")
    assert found
