"""Cheats are refused by name, and honest code is timed: nothing here depends on how long anything takes."""

from __future__ import annotations

import importlib.util
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
