"""The command as a user runs it: what it prints, and its exit status."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import normcheck
from normcheck import cli
from normcheck.cli import _is_claim, run
from normcheck.core.errors import UsageError

WRONG = """
import torch
def f(x, width, eps=1e-5):
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps)
"""


def command(*words: str, cwd: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "normcheck", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "normcheck explain layer_norm" in capsys.readouterr().out


def test_version_names_the_installed_frameworks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"normcheck {normcheck.__version__}"
    assert second.startswith(f"Python {platform.python_version()}, pytest {pytest.__version__}, hypothesis ")
    assert f"torch {torch.__version__}" in second


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "value", "layer_norm"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("value: a law\n")
    assert "layer_norm: layer normalization\n" in said


def test_explain_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    said = capsys.readouterr().out
    assert all(heading in said for heading in ("kinds: normalizers\n", "laws: accuracy\n", "faults: whitening\n"))
    assert "\nlayer_norm                    layer normalization\n" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tabel"], "did you mean 'table'?"),
        (["identify"], "identify takes one target"),
        (["explain", "leyer_norm"], "did you mean 'layer_norm'?"),
        (["table", "layer_norm=nowhere:f"], "there is no module 'nowhere'"),
    ],
)
def test_wrong_words(words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(words)

    assert says in str(caught.value)


def test_explaining_imports_no_framework() -> None:
    code = "import sys; from normcheck.cli import run; run(['explain', 'layer_norm']); sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_checking_is_pytest_on_the_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WRONG)
    words = ("layer_norm=mine.py:f", "-q", "-k", "conventions", "--norm-json", "out.json")
    status, said, _ = command(*words, cwd=tmp_path)

    assert status == 1
    assert "layer_norm mine.py:f: it follows variance=unbiased, which is not declared" in said
    assert (tmp_path / "out.json").exists()


@pytest.mark.parametrize(("word", "is_one"), [
    ("layer_norm=mine.py:f", True), ("mine.py:f", True), ("pkg.kernels:Norm.forward", True),
    ("tests/test_x.py::test_y", False), ("--norm-json=a:b", False), ("table", False), ("-k", False),
])  # fmt: skip
def test_which_words_are_claims(word: str, is_one: bool) -> None:
    assert _is_claim(word) is is_one


def test_behind_an_option_a_colon_is_no_claim() -> None:
    assert not _is_claim("no:cacheprovider", first=False)
    assert _is_claim("layer_norm=mine:f", first=False)


def test_the_value_of_an_option_is_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convention and a setting of an ini file look like KIND=TARGET."""
    given: list[list[str]] = []
    monkeypatch.setattr(pytest, "main", lambda words: given.append(words) or 0)
    values = ["--norm-contract", "form=add", "-o", "norm_effort=quick", "--override-ini", "norm_strict=1"]
    assert cli.run(["rms_norm=mine.py:f", *values, "--norm-strict", "layer_norm=mine.py:g"]) == 0
    assert cli.run(["-q", "--norm", "layer_norm=mine.py:f"]) == 0

    assert given == [
        ["--norm", "rms_norm=mine.py:f", *values, "--norm-strict", "--norm", "layer_norm=mine.py:g"],
        ["-q", "--norm", "layer_norm=mine.py:f"],
    ]


def test_unknown_words_end_with_4() -> None:
    status, _, said = command("explain", "layernorm")

    assert (status, said) == (4, "normcheck: there is no page for 'layernorm'; did you mean 'layer_norm'?\n")


@pytest.mark.parametrize("words", [
    ("docs",), ("adapt",), ("check", "--nope"), ("report",), ("table", "--nope"), ("init", "--nope"),
    ("survey", "--nope"),
])  # fmt: skip
def test_wrong_options_of_a_command_end_with_4(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 4
    assert f"normcheck {words[0]}: error: " in capsys.readouterr().err


def test_the_help_of_a_command_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["docs", "--help"]) == 0
    assert "--out FOLDER" in capsys.readouterr().out


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", "layer_norm=torch.nn.functional:layer_norm"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["torch.nn.functional:layer_norm", "yes", "yes", "no", "yes", "no", "yes", "no", "yes"]


def test_table_of_other_families(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has the cells that its entry has, no cell is undecided, and none differs."""
    nets = "normcheck.implementations.recurrent"
    assert run(["table", f"recurrent_batch_norm={nets}:BNLSTM", "zca_whitening=normcheck.implementations.whitening:"
                "ZCAWhitening", "path_sgd=normcheck.implementations.path_sgd:PathSGD"]) == 0  # fmt: skip
    said = capsys.readouterr().out
    measured = [line.partition(":")[2].split() for line in said.splitlines()[-6:] if ":" in line]
    rows = {name: cells for name, *cells in measured}
    assert rows["BNLSTM"] == ["yes", "no", "yes", "yes", "yes", "no", "no", "no", "yes"]
    assert rows["PathSGD"] == ["yes"]
    assert len(rows["ZCAWhitening"]) == 8
    assert not {"?", "!"} & set("".join(said.splitlines()[-6:]))


@pytest.mark.parametrize("kind", ["recurrent_layer_norm", "path_sgd", "sync_batch_norm"])
def test_a_kind_without_a_row_is_a_sentence(kind: str) -> None:
    status, out, said = command("table", kind)
    assert (status, out) == (4, "")
    assert f"{kind} has no row in the table of the field" in said
    assert said.endswith(f"normcheck table {kind}=mypkg.layers:mine\n")


def test_a_table_in_which_nothing_can_be_measured_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "nc_damped.py").write_text("from normcheck.implementations.path_sgd import PathSGD\n")
    claim = f"path_sgd={tmp_path / 'nc_damped.py'}:PathSGD"
    status, out, _ = command("table", claim, "--norm-contract", "eps=0.5")
    assert status == 0
    assert out == (
        f"{claim}: no column of the table could be measured; the same command without the word table, and with -v, "
        "says why\n"
    )


def test_identify(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["identify", "torch.nn.functional:layer_norm"]) == 0
    assert "layer_norm" in capsys.readouterr().out
