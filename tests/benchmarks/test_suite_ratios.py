"""How long a run takes beside what it cannot do without, and beside what torch itself offers: ratios, in one run each.

Run with: pytest tests/benchmarks/test_suite_ratios.py --benchmark-enable -s

Each test prints its ratio, and stores it as the `extra_info` of its row in the table of pytest-benchmark. Numbers of
seconds depend on the machine, the ratios hardly. All times are of a processor, in forked copies of one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
import torch
from forked import checked, measured, seconds, torch_imports
from pytest_benchmark.fixture import BenchmarkFixture

from normcheck import families
from normcheck.engine import claims, run
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.search import Effort, search
from normcheck.engine.settings import Settings
from normcheck.frameworks.load import load
from normcheck.frameworks.torch_functions import FUNCTIONS

KINDS = tuple(FUNCTIONS)
REPEATS = 3
OPERATORS = {kind: f"nn.functional.{kind}" for kind in KINDS if hasattr(torch.nn.functional, kind)}
"""The names of the operators in torch's own list of them, by kind."""


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    torch_imports()


def tell(benchmark: BenchmarkFixture, what: str, ratio: float, timed: Callable[[], Any]) -> None:
    """Print a ratio and store it, in the row of what takes the time."""
    benchmark.extra_info[what] = ratio
    benchmark.pedantic(lambda: seconds(timed), rounds=1)
    print(f"\n{what}: {ratio:.2f}")


def share_inside(kind: str, effort: str) -> float:
    """The share of a run's time that passes inside the implementation and its backward."""
    inside = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **options)
            finally:
                inside[0] += time.process_time() - start

        return call

    torch.autograd.grad = timed(torch.autograd.grad)  # in a copy of the process, which ends
    start = time.process_time()
    checked(kind, effort, timed(load(FUNCTIONS[kind])))
    return inside[0] / (time.process_time() - start)


@pytest.mark.parametrize("effort", ["smoke", "quick", "default"])
@pytest.mark.parametrize("kind", KINDS)
def test_share_inside_the_implementation(benchmark: BenchmarkFixture, kind: str, effort: str) -> None:
    """The physical limit is 1: a run that costs nothing beside the calls."""
    ratio = max(measured(lambda: share_inside(kind, effort)) for _ in range(REPEATS))
    tell(benchmark, f"{kind}, {effort}: share of the time inside the implementation", ratio, lambda: None)
    assert 0.0 < ratio < 1.0


@pytest.mark.parametrize("effort", ["smoke", "quick", "default"])
@pytest.mark.parametrize("kind", OPERATORS)
def test_beside_gradcheck(benchmark: BenchmarkFixture, kind: str, effort: str) -> None:
    """A run over gradcheck and gradgradcheck on the samples that torch has for the same operator."""
    pytest.importorskip("expecttest", reason="torch's list of operators needs it: pip install expecttest")
    from torch.testing._internal.common_methods_invocations import op_db

    operator = next(one for one in op_db if one.name == OPERATORS[kind])
    samples = list(operator.sample_inputs("cpu", torch.float64, requires_grad=True))

    def gradients() -> None:
        for sample in samples:
            arrays = [sample.input, *(one for one in sample.args if isinstance(one, torch.Tensor))]
            options = {k: v for k, v in sample.kwargs.items() if isinstance(v, torch.Tensor) and v.requires_grad}
            given = tuple(one for one in (*arrays, *options.values()) if one.requires_grad)
            call = _of_leaves(operator, sample, given)
            torch.autograd.gradcheck(call, given, check_batched_grad=False)
            torch.autograd.gradgradcheck(call, given, check_batched_grad=False)

    def whole() -> None:
        checked(kind, effort)

    ratio = min(seconds(whole) for _ in range(REPEATS)) / min(seconds(gradients) for _ in range(REPEATS))
    tell(benchmark, f"{kind}, {effort}: over gradcheck and gradgradcheck of {len(samples)} samples", ratio, whole)


def _of_leaves(operator: Any, sample: Any, leaves: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
    """The operator on a sample as a function of its leaves."""

    def call(*values: torch.Tensor) -> Any:
        new = dict(zip(map(id, leaves), values, strict=True))
        swap = lambda one: new.get(id(one), one)  # a tensor has no truth value to choose by
        return operator(swap(sample.input), *map(swap, sample.args), **{k: swap(v) for k, v in sample.kwargs.items()})

    return call


def test_growth_with_implementations(benchmark: BenchmarkFixture) -> None:
    """Eight implementations over eight times one: references are computed once."""

    def many() -> None:
        for _ in run.events([claims.claim(("layer_norm", _renamed(i)), {}) for i in range(8)], Settings("quick")):
            pass

    one = min(seconds(lambda: checked("layer_norm", "quick")) for _ in range(REPEATS))
    ratio = min(seconds(many) for _ in range(REPEATS)) / (8.0 * one)
    tell(benchmark, "eight layer norms over eight times one", ratio, many)
    assert ratio < 1.2


def _renamed(number: int) -> Callable[..., torch.Tensor]:
    def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)

    layer_norm.__qualname__ = f"layer_norm_{number}"
    return layer_norm


def test_growth_with_checks(benchmark: BenchmarkFixture) -> None:
    """All checks over twice one half of them."""
    concerned = [check for check in families.CHECKS if check.concerns(families.get("layer_norm"))]

    def asked(checks: list[Any]) -> None:
        claim, asker = claims.claim(("layer_norm", FUNCTIONS["layer_norm"]), {}), Asker(Settings("quick"))
        for check in checks_of(claim, checks, asker.settings):
            asker.run_check(claim, check)

    half = min(seconds(lambda: asked(concerned[::2])) for _ in range(REPEATS))
    ratio = min(seconds(lambda: asked(concerned)) for _ in range(REPEATS)) / (2.0 * half)
    tell(benchmark, "all checks of a layer norm over twice every second one", ratio, lambda: asked(concerned))
    assert ratio < 1.5


def test_growth_with_cases(benchmark: BenchmarkFixture) -> None:
    """Forty random draws for each check over twice twenty."""
    claim, asker = claims.claim(("layer_norm", FUNCTIONS["layer_norm"]), {}), Asker(Settings("quick"))
    subject = asker.subject(claim)
    able = [check for check in checks_of(claim, families.CHECKS, asker.settings) if not check.lacks(subject)]

    def drawn(examples: int) -> None:
        for check in able:
            if check.cost <= 1.0:
                search(subject, check, Effort(examples))

    less = min(seconds(lambda: drawn(20)) for _ in range(REPEATS))
    ratio = min(seconds(lambda: drawn(40)) for _ in range(REPEATS)) / (2.0 * less)
    tell(benchmark, "forty random draws of each check over twice twenty", ratio, lambda: drawn(40))
    assert ratio < 1.2
