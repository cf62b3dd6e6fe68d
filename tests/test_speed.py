"""Cheats are refused by name, and honest code is timed: nothing here depends on how long anything takes."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from normcheck.adapters.bind import subject
from normcheck.bench.pairs import Budget
from normcheck.bench.speed import Question, case_of, measure, record, right
from normcheck.bench.timing import PASSES, RefusedError, Timed, validate
from normcheck.claim import Implementation

FEW = Budget(seconds=0.05)
HERE = Path(__file__).parent / "user_code" / "cheats" / "cheats.py"
HONEST = subject(Implementation("layer_norm", "torch.nn.functional:layer_norm"))


@pytest.fixture
def cheats(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)  # put back after a cheat
    spec = importlib.util.spec_from_file_location("nc_cheats", HERE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("cheat", "name"),
    [
        ("replay", "replay"), ("later", "wrong-when-timed"), ("thread", "background-thread"), ("lazy", "lazy-output"),
        ("overwrites", "input-overwritten"), ("patches", "timer-patched"), ("unwritten", "unwritten-output"),
    ],
)  # fmt: skip
def test_a_cheat_is_refused_by_name(cheats: ModuleType, cheat: str, name: str) -> None:
    """Bound as honest code is, its function then exchanged for the cheat, so that only timing can refuse it."""
    function = getattr(cheats, cheat)
    turned = [False]

    def mine(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        given = function if turned[0] else torch.nn.functional.layer_norm
        return given(x, normalized_shape, weight, bias, eps)

    found = subject(Implementation("layer_norm", mine))
    timed = Timed(found, case_of(found, Question(4, 64, "forward")), "forward")
    turned[0] = True

    def timed_and_validated() -> None:
        for _ in range(40):
            timed()
        validate(timed, lambda case, y: right(found, case, y))

    with pytest.raises(RefusedError, match=rf"^{name}: "):
        timed_and_validated()


@pytest.mark.parametrize("part", PASSES)
def test_honest_code_is_timed(part: str) -> None:
    question = Question(7, 64, part)
    measured = measure(HONEST, question, 100.0, FEW)

    assert measured.ratio.pairs >= FEW.least
    assert record(question, measured, 100.0)["pass"] == part


def test_no_two_calls_have_the_same_content() -> None:
    timed = Timed(HONEST, case_of(HONEST, Question(4, 64, "forward")), "forward")
    contents = [timed._fresh() for _ in range(10)]

    assert not any(torch.equal(a, b) for i, a in enumerate(contents) for b in contents[:i])


def test_outputs_of_timed_calls_are_validated() -> None:
    timed = Timed(HONEST, case_of(HONEST, Question(4, 64, "forward")), "forward")
    for _ in range(20):
        timed()

    assert validate(timed, lambda case, y: right(HONEST, case, y)) >= 2


SLOW = """
import torch

def slow(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    for _ in range(10):
        y = torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
    return y

def wrong(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return x
"""


def test_speed_is_no_part_of_an_ordinary_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=SLOW)
    ran = pytester.runpytest_subprocess("--norm", "layer_norm=mine.py:slow", "--collect-only", "-q")

    ran.stdout.no_fnmatch_line("*test_speed*")


def test_ten_times_as_slow_fails_the_gate_and_is_in_the_record(pytester: pytest.Pytester) -> None:
    """A margin of ten against two, so that no noise decides."""
    pytester.makepyfile(mine=SLOW)
    ran = pytester.runpytest_subprocess(
        "--norm", "layer_norm=mine.py:slow", "--norm-max-slowdown", "2", "--norm-json", "out.json",
        "-k", "test_speed and 512x768-float32-forward",
    )  # fmt: skip

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*512x768-float32-forward: * times torch's fused function*slower; allowed 2*"])
    ran.stdout.fnmatch_lines(["*512 x 768 float32 forward*us*slower*####################"])
    run = json.loads((pytester.path / "out.json").read_text())
    assert run["implementations"][0]["speed"][0]["ratio"]["low"] > 2.0


def test_what_is_wrong_is_not_timed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=SLOW)
    ran = pytester.runpytest_subprocess(
        "--norm", "layer_norm=mine.py:wrong", "--benchmark-only", "-k", "test_speed and 1x768-float32-forward"
    )

    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*not timed: mine.py:wrong is wrong, see value*"])


def test_the_table_of_pytest_benchmark_is_grouped_by_shape(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=SLOW)
    ran = pytester.runpytest_subprocess(
        "--norm", "layer_norm=mine.py:slow", "--benchmark-only", "-k", "test_speed and 1x768-float32-forward"
    )

    assert ran.ret == 0
    ran.stdout.fnmatch_lines(["*benchmark '1x768-float32-forward'*"])
