"""Findings that a project expects, the conventions that would explain one, and how both are said."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from normcheck.core.errors import UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.result import ERROR, FAILED, PASSED, Finding, Outcome
from normcheck.engine.accepted_file import read, write
from normcheck.engine.accepted_findings import AcceptedFinding, settle
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

TODAY = date(2026, 6, 1)
ENTRY = AcceptedFinding("m:f", "value", "one pass, issue 12", date(2026, 6, 1))
FINDING = Finding("value", "law", 2.0, 1.0, (0,), {})
FAILING = Outcome("layer_norm", "m:f", "value", FAILED, 10, 2.0, finding=FINDING)

MINE = """
import torch
def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = torch.nn.functional.layer_norm(x, normalized_shape, eps=eps)
    y = y if weight is None else y * {gain}
    return y if bias is None else y + bias
def outside(x, width, eps=1e-5):
    h = x.to(torch.promote_types(x.dtype, torch.float32))
    c = h - h.mean(-1, keepdim=True)
    return (c / (c.square().mean(-1, keepdim=True).sqrt() + eps)).to(x.dtype)
def stored(x, running_mean, running_var, weight=None, bias=None, training=True, momentum=0.1, eps=1e-5):
    if training and running_var is not None:
        axes = [a for a in range(x.ndim) if a != 1]
        running_mean.mul_(1 - momentum).add_(momentum * x.detach().mean(axes))
        running_var.mul_(1 - momentum).add_(momentum * x.detach().var(axes, correction=0))
        running_mean = running_var = None
    return torch.nn.functional.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
"""


def test_an_accepted_finding_passes_with_its_reason() -> None:
    found = settle(FAILING, [ENTRY], TODAY)

    assert (found.status, found.finding, found.expected) == (PASSED, None, "one pass, issue 12")


def test_after_its_day_it_fails_again_and_says_so() -> None:
    found = settle(FAILING, [ENTRY], date(2026, 6, 2))

    assert found.status == FAILED
    assert found.finding is not None
    assert found.finding.detail == "accepted until 2026-06-01 (one pass, issue 12), which has passed"


def test_an_unexpected_pass_is_an_error_that_says_what_to_do() -> None:
    found = settle(Outcome("layer_norm", "m:f", "value", PASSED, 10), [ENTRY], TODAY)

    assert found.status == ERROR
    assert found.reason.endswith("is gone: remove it from pyproject.toml")


def test_another_target_is_not_excused() -> None:
    assert settle(FAILING, [AcceptedFinding("m:g", "value", "r")], TODAY) is FAILING


def test_written_entries_are_read_again_and_written_once(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'mine'\n")

    assert write(path, [("m:f", "value"), ('./a "b".py:f', "sign")], "because") == 2
    assert write(path, [("m:f", "value")], "because") == 0
    assert read(path, CHECKS_BY_NAME) == (
        AcceptedFinding("m:f", "value", "because"),
        AcceptedFinding('./a "b".py:f', "sign", "because"),
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('target = "m:f"\ncheck = "value"', "has no reason"),
        ('target = "m:f"\ncheck = "value"\nreason = " "', "has no reason"),
        ('target = "m:f"\ncheck = "valeu"\nreason = "r"', "did you mean 'value'?"),
        ('target = "m:f"\ncheck = "value"\nreason = "r"\nuntill = 2027-01-31', "did you mean 'until'?"),
        ('target = "m:f"\ncheck = "value"\nreason = "r"\nuntil = "soon"', "write a date"),
    ],
)
def test_wrong_entries(tmp_path: Path, entry: str, says: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(f"[[tool.normcheck.expected]]\n{entry}\n")

    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        read(path, CHECKS_BY_NAME)


def test_no_file_is_no_entry(tmp_path: Path) -> None:
    assert read(tmp_path / "pyproject.toml", CHECKS_BY_NAME) == ()


@pytest.mark.parametrize(
    ("kind", "attribute", "remedy"),
    [
        ("layer_norm", "f", "weight=1+w"),
        ("layer_norm", "outside", "eps-place=outside"),
        ("batch_norm", "stored", "running-variance=biased"),
    ],
)
def test_the_convention_that_would_explain_it(tmp_path: Path, kind: str, attribute: str, remedy: str) -> None:
    """It is found once, and everything else is checked under it."""
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.format(gain="(1 + weight)"))
    (claim,) = claims([f"{kind}={mine}:{attribute}"], {})
    found = list(outcomes_of(events([claim], Settings("quick"))))

    assert [one.finding.remedy for one in found if one.finding and one.check == "conventions"] == [remedy]
    assert "value" not in {one.check for one in found if one.finding}


def test_no_convention_explains_a_plain_mistake(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.format(gain="weight * 1.5"))
    (claim,) = claims([f"layer_norm={mine}:f"], {})
    found = Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME["affine-map"]).finding

    assert found is not None
    assert found.remedy == ""


def test_accepting_and_running_again(pytester: pytest.Pytester) -> None:
    """--norm-accept writes what a run finds; the next run passes and says what it expects; mended code is an error."""
    pytester.makepyfile(mine=MINE.format(gain="weight * 1.5"))
    args = ("--norm", "layer_norm=mine:f", "--norm-effort", "quick", "-k", "affine-map")
    first = pytester.runpytest_inprocess(*args, "--norm-accept", "a known scale")
    first.stdout.fnmatch_lines(["written: 1 expected findings to *pyproject.toml"])
    second = pytester.runpytest_inprocess(*args)
    second.stdout.fnmatch_lines(["*expected *affine-map (a known scale)"])
    pytester.makepyfile(mine=MINE.format(gain="weight"))
    third = pytester.runpytest_inprocess(*args)
    third.stdout.fnmatch_lines(["*the expected finding (a known scale) is gone: remove it from pyproject.toml*"])

    assert (first.ret, second.ret, third.ret) == (1, 0, 1)
