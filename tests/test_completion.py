"""What a shell completes, asked as a shell asks: through the protocol of argcomplete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from normcheck import cli
from normcheck.core.contract import CHOICES
from normcheck.pytest_plugin import report_options

pytest.importorskip("argcomplete", reason="pip install 'normcheck[completion]'")


def completed(line: str, folder: Path) -> list[str]:
    """The words that a shell offers for the last one of a line; bash breaks words at "=" and ":"."""
    answer = folder / ".answer"
    asked = {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n=:", "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "normcheck"], cwd=folder, env=os.environ | asked, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return answer.read_text().split("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text("raise SystemExit\ndef fast(x): ...\nclass Norm: ...\ndef _own(): ...\n")
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "pkg").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("normcheck su", ["survey"]),
        ("normcheck layer_n", ["layer_norm="]),
        ("normcheck layer_norm=", ["broken.py:", "mine.py:", "pkg/"]),
        ("normcheck layer_norm=mi", ["mine.py:"]),
        ("normcheck layer_norm=mine.py:", ["fast", "Norm"]),
        ("normcheck layer_norm=broken.py:", [""]),
        ("normcheck --norm batch_norm_r", ["batch_norm_rnn="]),
        ("normcheck identify mine.py:f", ["fast"]),
        ("normcheck adapt pk", ["pkg/"]),
        ("normcheck table rms_n", ["rms_norm", "rms_norm="]),
        ("normcheck explain eps-ig", ["eps-ignored"]),
        ("normcheck layer_norm=mine.py:fast --norm-contract eps-pl", ["eps-place="]),
        ("normcheck layer_norm=mine.py:fast --norm-contract eps-place=", list(CHOICES["eps-place"])),
        ("normcheck layer_norm=mine.py:fast --norm-effort q", ["quick"]),
        ("normcheck layer_norm=mine.py:fast --norm-max-slowdown ", [""]),
        ("normcheck layer_norm=mine.py:fast --norm-contract translated=", ["compiled", "exported", "onnx"]),
        ("normcheck --self", ["--self-check"]),
        ("normcheck check --ma", ["--many"]),
        ("normcheck check --many m", ["mine.py"]),
        ("normcheck check --many mine.py --effort ", ["smoke", "quick", "default", "deep"]),
        ("normcheck check --many mine.py --kind layer_", ["layer_norm"]),
        ("normcheck check --many mine.py --contract eps-pla", ["eps-place="]),
        ("normcheck check --jobs ", [""]),
        ("normcheck survey --ver", ["--verify"]),
        ("normcheck init --y", ["--yes"]),
        ("normcheck init --effort d", ["default", "deep"]),
        ("normcheck adapt mine.py:fast --as rms_n", ["rms_norm"]),
        ("normcheck adapt mine.py:", ["fast", "Norm"]),
        ("normcheck table --mark", ["--markdown"]),
        ("normcheck table --of mine.py:N", ["Norm"]),
        ("normcheck table rms_norm=mine.py:", ["fast", "Norm"]),
        ("normcheck report --ht", ["--html"]),
        ("normcheck docs --o", ["--out"]),
    ],
)  # fmt: skip
def test_a_word(line: str, offered: list[str], folder: Path) -> None:
    assert [word.strip() for word in completed(line, folder)] == offered


def test_every_command_kind_and_option_is_offered(folder: Path) -> None:
    first = completed("normcheck ", folder)
    assert {*cli.COMMANDS, "layer_norm=", "recurrent_batch_norm="} <= {word.strip() for word in first}

    options = {word.strip() for word in completed("normcheck --norm-", folder)}
    assert {f"--norm-{form}" for form in report_options.FORMS} | {"--norm-isolate", "--norm-max-memory"} <= options


def test_without_argcomplete_a_command_runs_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setattr(sys, "argv", ["normcheck", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("normcheck ")
