"""A finding in the terminal: its grammar, its size, and what is told once."""

from __future__ import annotations

import math

import pytest

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.result import FAILED, PASSED, Outcome
from normcheck.engine import verdict
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers import faults
from normcheck.normalizers.sampling.recipes import Draw
from normcheck.report.message import MOST_ROWS, finding, measured
from normcheck.report.page import finding_views, notebook

RECORD = {
    "check": "value", "law": "|y - exact y| <= bound(width, conditioning, format)", "observed": 2.275e-10,
    "allowed": 6.268e-12, "where": [3, 0],
    "case": {"shape": [6, 2], "format": "float64", "eps": 1e-05, "weight": True, "bias": True, "seed": 0},
    "detail": "the bound is mostly statistics", "likely": "eps-ignored: Divides by the root alone",
    "remedy": "accuracy=one-pass", "source": "Chan, Golub, LeVeque 1983",
    "replay": "pytest --norm layer_norm=mine.py:f --norm-replay value/n=2", "script": ["import torch", "print(1)"],
}  # fmt: skip

TOLD = """\
layer_norm mine.py:f: value does not hold

  law      |y - exact y| <= bound(width, conditioning, format)
  found    2.275e-10 at [3, 0], 36.3 times what is allowed
  allowed  6.268e-12
  case     float64 6x2, weight and bias, eps 1e-05, seed 0
  remark   the bound is mostly statistics
  likely   eps-ignored: Divides by the root alone
  if meant declare accuracy=one-pass
  source   Chan, Golub, LeVeque 1983
  replay   pytest --norm layer_norm=mine.py:f --norm-replay value/n=2

  without normcheck:
    import torch
    print(1)"""


def rows(text: str, width: int) -> int:
    """Rows of a terminal of that width."""
    return sum(max(1, math.ceil(len(line) / width)) for line in text.splitlines())


def test_the_grammar_of_a_finding() -> None:
    assert finding("layer_norm", "mine.py:f", RECORD) == TOLD


@pytest.mark.parametrize("numbers", [1, 12, 48, 400])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_finding_fits_the_terminal(numbers: int, width: int) -> None:
    """However long its tensors are: a script that is too long stays in the record, which is said."""
    script = [f"x{i} = torch.tensor({[0.1234567890123456] * numbers})" for i in range(14)]
    told = finding("layer_norm", "mine.py:f", {**RECORD, "script": script}, width)

    assert rows(told, width) <= MOST_ROWS
    assert ("x13 =" in told) != ("a script with long tensors, in --norm-json FILE" in told)


def test_what_is_not_known_has_no_line() -> None:
    empty = dict.fromkeys(("likely", "remedy", "source", "detail", "script"), "")
    told = finding("layer_norm", "mine.py:f", {**RECORD, **empty, "where": []})

    assert "likely" not in told
    assert "if meant" not in told
    assert "without normcheck" not in told


def test_a_number_that_says_nothing_is_words() -> None:
    """What is allowed is 0: the values must be equal, or what happened is told instead of numbers."""
    exact = {**RECORD, "observed": 0.5, "allowed": 0.0, "detail": ""}
    raised = {**RECORD, "observed": math.inf, "allowed": 0.0, "where": [], "detail": "raised ValueError: no"}
    no_number = {**RECORD, "observed": math.inf}
    shape = {**RECORD, "observed": 0.0, "allowed": 0.0, "where": [], "detail": ""}

    assert measured(exact)[:2] == [("found", "a difference of 0.5 at [3, 0]"), ("allowed", "none: it must be equal")]
    assert measured(raised) == [("found", "raised ValueError: no")]
    assert measured(no_number)[:2] == [("found", "no finite number at [3, 0]"), ("allowed", "6.268e-12")]
    assert measured(shape) == [("found", "what the law excludes")]


@pytest.mark.parametrize("found", [(0.0, 0.0), (math.inf, 0.0)])
def test_every_report_has_the_words(found: tuple[float, float]) -> None:
    record = {**RECORD, "observed": found[0], "allowed": found[1], "where": [], "detail": "x was written to"}
    page = dict(finding_views._finding(record)["lines"])

    assert page["found"] == "x was written to"
    assert not {"allowed", "remark"} & page.keys()
    assert "allowed" not in finding("layer_norm", "mine.py:f", record)
    assert ">allowed<" not in notebook._finding(record)


def test_a_counterexample_that_was_not_found_is_told_in_words() -> None:
    """A law that must not hold, and holds: there is no difference to print."""
    centered = faults.subject(families.get("rms_norm"), faults.get("mean-subtracted"))
    outcome = run_check(centered, CHECKS_BY_NAME["shift-of-each-case"], [Draw(), Draw(seed=1)])

    assert outcome.status == FAILED
    assert outcome.finding is not None
    told = finding("rms_norm", "mine.py:f", outcome.finding.record())
    assert "  found    no counterexample: the largest change is " in told
    assert "allowed" not in told


def test_an_accepted_finding_is_not_the_tightest_check() -> None:
    """It passed, and its ratio is beyond what is allowed."""
    accepted = Outcome("layer_norm", "m:f", "value", PASSED, 8, 6.7e12, expected="one pass")
    passed = Outcome("layer_norm", "m:f", "sign", PASSED, 8, 0.5)

    assert verdict.implementation("layer_norm", "m:f", [accepted])["tightest"] is None
    assert verdict.implementation("layer_norm", "m:f", [accepted, passed])["tightest"] == {
        "check": "sign",
        "share": 0.5,
    }
