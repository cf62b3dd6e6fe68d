"""A finding's script runs without normcheck and shows what the finding says; its replay asks the very case again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_user_code import HERE, WRONG, name

from normcheck.core.errors import UsageError
from normcheck.core.replay import decode, encode
from normcheck.core.result import FAILED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings, replayed_case
from normcheck.families import CHECKS_BY_NAME
from normcheck.normalizers.sampling.recipes import Draw

RIGHT = """
import torch
def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
"""
SHOWN = ("value", "input-gradient", "parameter-gradients", "moments")
MOVES = ("dweight-accumulates", "output-drifts")  # another number at each call: no case is the same again
SOME = [one for one in WRONG if one["check"] in SHOWN and one["fault"] not in MOVES and "contract" not in one]


def found(one: dict[str, str], replay: str | None = None) -> Outcome:
    (claim,) = claims([f"{one['kind']}={HERE.parent / one['target']}"], {})
    settings = Settings("quick", replay=None if replay is None else replayed_case(replay))
    return Asker(settings).run_check(claim, CHECKS_BY_NAME[one["check"]])


@pytest.mark.parametrize("one", SOME[::4], ids=lambda one: f"{one['fault']}-{name(one)}")
def test_script(one: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a number beyond the allowed one, in at most 15 lines, and does not know normcheck."""
    finding = found(one).finding
    assert finding is not None
    if not finding.script:
        pytest.skip("the case is too long for a few lines")
    code = "\n".join(finding.script)
    exec(code, {})  # our own text

    printed = float(re.findall(r"tensor\(([^,)]+)", capsys.readouterr().out)[0])
    allowed = float(finding.script[-1].rpartition(" ")[2])
    assert not printed <= allowed, code
    assert len(finding.script) <= 15
    assert "normcheck" not in code


@pytest.mark.parametrize("one", SOME[1::9], ids=lambda one: f"{one['fault']}-{name(one)}")
def test_replay_is_the_same_case(one: dict[str, str]) -> None:
    first = found(one).finding
    assert first is not None
    case = first.replay.rpartition("--norm-replay ")[2].strip("'")
    again = found(one, case)

    assert again.status == FAILED
    assert again.finding is not None
    assert (again.finding.observed, again.finding.where) == (first.observed, first.where)


@pytest.mark.parametrize(
    "draw", [Draw(), Draw(n=17, format="float32", offset=1e3, dy="every second", dim=None), Draw(seed=3, eps=0.1)]
)
def test_round_trip(draw: Draw) -> None:
    assert decode(encode("value", draw), Draw()) == ("value", draw)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("value/set=3", "did you mean 'sets'?"),
        ("value/n", "no choice of a case"),
        ("value/n=many", "'many' is no value"),
        ("valeu/n=3", "did you mean 'value'?"),
    ],
)
def test_words_that_are_none(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        replayed_case(text)


def test_fixed_and_still_there(tmp_path: Path) -> None:
    """The command of a finding says that it is still there, and after the mending that it is fixed."""
    mine = tmp_path / "mine.py"
    right = RIGHT
    mine.write_text(right.replace(", eps)\n", ", 2 * eps)\n"))

    def run(*options: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--norm", "layer_norm=mine.py:f", *options],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    run("-k", "eps-is-read", "--norm-json", "out.json")
    command = json.loads((tmp_path / "out.json").read_text())["implementations"][0]["findings"][0]["replay"]
    case = command.rpartition("--norm-replay ")[2].strip("'")

    assert case.startswith("eps-is-read")
    status, said = run("--norm-replay", case)
    assert (status, "the finding is still there" in said) == (1, True)
    mine.write_text(right)
    status, said = run("--norm-replay", case)
    assert (status, "fixed: the law holds on this case" in said) == (0, True)
