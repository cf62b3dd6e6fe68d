"""The smoke effort: the questions of `normcheck/engine/smoke.txt`, what they find, and that right code passes them."""

from __future__ import annotations

import io
import sys

import pytest
from smoke_table import cover, found_first

import normcheck
from normcheck import cli, families
from normcheck.cli.progress import shown
from normcheck.core.ask import run_case
from normcheck.core.contract import Contract
from normcheck.core.events import CheckStarted, Event
from normcheck.core.foreign_code import quiet
from normcheck.engine import self_check, smoke
from normcheck.engine.self_check import mutation_scores, remembered
from normcheck.families import CHECKS_BY_NAME
from normcheck.frameworks.torch_functions import FUNCTIONS
from normcheck.normalizers import faults
from normcheck.normalizers.faults import translated

LEAST = 0.9
"""Least share of the known faults of normalizers that the effort finds."""


def test_lines_are_questions() -> None:
    for kind, lines in smoke.table().items():
        entry = families.get(kind)
        for name, example, milliseconds, found in lines:
            check = CHECKS_BY_NAME[name]
            assert check.concerns(entry)
            assert example >= 0
            assert milliseconds > 0.0
            assert found > 0
            subject = faults.subject(entry)
            if not check.lacks(subject):
                draw = list(check.space.explicit_examples(subject))[example]
                with quiet():
                    found_there = run_case(subject, remembered(check), draw)[1]
                assert not found_there.seeks  # a "no" needs a witness among many


@pytest.mark.parametrize("kind", ["layer_norm", "weight_norm", "mean_only_batch_norm"])
def test_a_line_finds_what_it_says(kind: str) -> None:
    lines = smoke.table()[kind]
    assert found_first(kind, [(name, i) for name, i, _, _ in lines]) == [found for _, _, _, found in lines]


def test_most_faults_are_found() -> None:
    """Of those that a run can find: a program of the code is made only where the contract demands it."""
    able = set(faults.ALL) - {fault.name for fault in translated.FAULTS}
    found = [one for one in mutation_scores(Contract(), "smoke") if one.fault in able]
    assert len(found) == len(able)
    assert sum(bool(one.check) for one in found) >= LEAST * len(found)


def test_self_check_prints_the_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def scores(promised: Contract, effort: str) -> list[self_check.MutationScore]:
        return [
            self_check.MutationScore(effort, "layer_norm", "value"),
            self_check.MutationScore("b", "layer_norm", ""),
        ]

    monkeypatch.setattr(self_check, "mutation_scores", scores)
    assert cli.run(["--self-check", "--norm-effort", "smoke"]) == 1
    assert capsys.readouterr().out.startswith("1 of 2 known faults are found (effort smoke)\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "seen"), [({}, True), ({"CI": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_self_check_shows_its_progress_on_a_terminal(
    environment: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    scores = [self_check.MutationScore("a", "layer_norm", "value"), self_check.MutationScore("b", "rms_norm", "")]

    assert list(shown(iter(scores), 3)) == scores
    told = sys.stderr.getvalue()
    assert ("gets through: b in rms_norm" in told) == seen
    assert ("known faults, 1 got through" in told and "2/3" in told) == seen
    assert told or not seen


RIGHT = {kind: target for kind, target in FUNCTIONS.items() if target} | {
    "zca_whitening": "normcheck.implementations.whitening:ZCAWhitening",
    "recurrent_layer_norm": "normcheck.implementations.recurrent:LNLSTM",
}
"""Right code of every kind of torch, and of kinds that have no lines."""


@pytest.mark.parametrize("kind", RIGHT)
def test_right_code_passes(kind: str) -> None:
    verdict = normcheck.check(RIGHT[kind], kind, effort="smoke")
    assert verdict.ok, str(verdict)
    assert verdict.compared > 0


def test_questions_are_asked_in_their_order_and_no_others() -> None:
    asked: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, CheckStarted) and event.check != "conventions":
            asked.append(event.check)

    normcheck.check("torch.nn.functional:layer_norm", "layer_norm", effort="smoke", progress=listen)
    assert asked == list(dict.fromkeys(name for name, _, _, _ in smoke.table()["layer_norm"]))


def test_a_finding_is_diagnosed_and_not_shrunk() -> None:
    verdict = normcheck.check("tests/user_code/fused.py:fast_layer_norm", "layer_norm", effort="smoke")
    assert verdict.verdict == "failed"
    assert "one-pass-variance-clamped" in verdict.diagnosis


def test_the_cover_prefers_what_finds_more_for_its_time() -> None:
    kills = {"one": [("slow", 0), ("fast", 0)], "two": [("slow", 0)], "three": [("slow", 0)], "four": [("never", 0)]}
    times = {("slow", 0): 9.0, ("fast", 0): 1.0, ("never", 0): float("inf")}
    assert cover(kills, times) == [(("fast", 0), 1), (("slow", 0), 2)]
