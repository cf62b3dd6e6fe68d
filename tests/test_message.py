"""A finding in the terminal: its grammar, its size, and what is told once."""

from __future__ import annotations

import math

import pytest

from normcheck.report.message import MOST_ROWS, finding

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
  meant?   declare accuracy=one-pass if it is
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
    assert "meant?" not in told
    assert "without normcheck" not in told
