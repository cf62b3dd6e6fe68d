"""`normcheck init`: what it adds to a project, and what it leaves as it is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from normcheck.core.errors import UsageError
from normcheck.engine.init import project, workflow
from normcheck.engine.init.additions import with_claims, with_findings
from normcheck.engine.init.command import FileChange, InitCommand

LAYERS = """\
import torch

def gemma_norm(x, weight, eps=1e-6):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], 1.0 + weight, eps)

def clipped_norm(x, weight, eps=1e-6):
    return torch.nn.functional.rms_norm(torch.nan_to_num(x), x.shape[-1:], weight, eps)

def norm_of_nothing(x):
    return x.sum() * 0
"""

SIX_LAYERS = """\
import torch
from torch.nn import functional

def layer_norm(x, weight, bias, eps=1e-5):
    return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)

def rms_norm(x, weight, eps=1e-6):
    return functional.rms_norm(x, x.shape[-1:], weight, eps)

def clipped_norm(x, weight, eps=1e-6):
    return rms_norm(torch.nan_to_num(x), weight, eps)

class GroupNorm(torch.nn.GroupNorm):
    pass

class InstanceNorm(torch.nn.InstanceNorm2d):
    pass

class BatchNorm(torch.nn.BatchNorm2d):
    pass
"""

PROJECT = """\
# a library
[project]
name = "mylib"   # by hand
version = "0.1"

[tool.ruff]
line-length = 100
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mylib").mkdir()
    (tmp_path / "mylib" / "__init__.py").write_text("")
    (tmp_path / "mylib" / "layers.py").write_text(LAYERS)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


def normcheck(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "normcheck", "init", "--effort", "smoke", *words)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_a_project_is_checked_from_then_on(folder: Path) -> None:
    """Shown first, written on request, with comments kept; its tests pass, and a second time nothing is added."""
    shown = normcheck(folder)

    assert shown.returncode == 0, shown.stderr
    assert (folder / "pyproject.toml").read_text() == PROJECT
    assert not (folder / ".github").exists()
    assert '+    "rms_norm[weight=1+w]=mylib.layers:gemma_norm",' in shown.stdout
    assert "left out: mylib.layers:norm_of_nothing: " in shown.stdout
    assert shown.stdout.endswith("nothing is written yet; to write it: normcheck init --yes\n")

    written = normcheck(folder, "--yes")

    assert written.stdout.endswith("written\n")
    text = (folder / "pyproject.toml").read_text()
    assert text.startswith(PROJECT)
    tool = tomllib.loads(text)["tool"]
    assert tool["pytest"]["ini_options"] == {
        "norm": ["rms_norm=mylib.layers:clipped_norm", "rms_norm[weight=1+w]=mylib.layers:gemma_norm"],
        "norm_effort": "smoke",
    }
    (expected,) = tool["normcheck"]["expected"]
    assert expected["target"] == "mylib.layers:clipped_norm"
    assert expected["check"] == "containment"
    assert "pip install -e . normcheck" in (folder / ".github" / "workflows" / "normcheck.yml").read_text()

    run = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"), cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert re.search(r"^rms_norm = \S*gemma_norm +passed", run.stdout, re.MULTILINE)
    assert normcheck(folder).stdout.endswith("nothing to add\n")


def test_six_layers_take_twelve_lines(folder: Path) -> None:
    """With one expected finding, and with the effort: the file is short, and the tests of the project pass."""
    (folder / "mylib" / "layers.py").write_text(SIX_LAYERS)

    written = normcheck(folder, "--yes")

    assert written.stdout.endswith("written\n"), written.stderr
    text = (folder / "pyproject.toml").read_text()
    assert text.startswith(PROJECT)
    added = [line for line in text.removeprefix(PROJECT).splitlines() if line.strip()]
    assert len(added) <= 12, text
    assert sum("=mylib.layers:" in line for line in added) == 6
    assert [line.partition(" ")[0] for line in added[-2:]] == ["[tool.normcheck]", "expected"]
    run = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"), cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert "6 of 6 passed" in run.stdout
    assert run.stdout.count("1 expected") == 1


@pytest.mark.parametrize(("name", "text", "reads"), [
    ("pytest.ini", "", "pytest.ini"),
    ("tox.ini", "[pytest]\naddopts = -q\n", "tox.ini"),
    ("tox.ini", "[tox]\n", ""),
    ("setup.cfg", "[tool:pytest]\n", "setup.cfg"),
    ("setup.cfg", "no section", ""),
])  # fmt: skip
def test_where_pytest_reads_its_options(name: str, text: str, reads: str, folder: Path) -> None:
    """A table in pyproject.toml would hide those of another file."""
    (folder / name).write_text(text)

    assert project.options_elsewhere(folder) == reads


def test_a_table_of_pytest_counts_before_tox(folder: Path) -> None:
    (folder / "tox.ini").write_text("[pytest]\n")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")

    assert project.options_elsewhere(folder) == ""


@pytest.mark.parametrize(("before", "after"), [
    ("", '[tool.pytest.ini_options]\nnorm = ["rms_norm=m:f"]\n'),
    ("[tool.pytest.ini_options]\nnorm = 'layer_norm=m:g'  # ours\n",
     '[tool.pytest.ini_options]\nnorm = [\n    "layer_norm=m:g",\n    "rms_norm=m:f",\n]  # ours\n'),
    ('[tool.pytest.ini_options]\nnorm = ["rms_norm[eps=1e-6]=m:f"]\n',
     '[tool.pytest.ini_options]\nnorm = ["rms_norm[eps=1e-6]=m:f"]\n'),
    ("[tool.pytest]\nstrict = true\n", '[tool.pytest]\nstrict = true\nnorm = ["rms_norm=m:f"]\n'),
    ("[tool.ruff]\r\n", '[tool.ruff]\r\n\r\n[tool.pytest.ini_options]\r\nnorm = ["rms_norm=m:f"]\r\n'),
])  # fmt: skip
def test_lines_are_added_where_pytest_reads_them(before: str, after: str) -> None:
    """A target that is named already is not named again, whatever its conventions."""
    assert with_claims(Path("pyproject.toml"), before, ["rms_norm=m:f"], {}) == after


def test_a_target_with_expected_findings_gets_no_more() -> None:
    entry = {"target": "m:f", "check": ["value", "sign"], "reason": "known"}
    once = with_findings(Path("pyproject.toml"), "", [entry])

    assert tomllib.loads(once)["tool"]["normcheck"]["expected"] == [entry]
    assert with_findings(Path("pyproject.toml"), once, [entry | {"check": "moments"}]) == once


@pytest.mark.parametrize(("name", "text", "given"), [
    (".github/workflows/ci.yml", "run: pytest -q", None),
    (".gitlab-ci.yml", "", None),
    ("README.md", "", "pip install -e . normcheck"),
])  # fmt: skip
def test_a_workflow_is_given_where_no_service_runs_the_tests(
    name: str, text: str, given: str | None, folder: Path
) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    found = workflow.missing(folder)

    assert (found is None) == (given is None)
    assert found is None or given in found[1]


@pytest.mark.parametrize(("made", "text"), [
    ((), "has no Python package"),
    (("plain.py",), "no class or function there has the name of a normalizer"),
    (("src/nc_not_installed/__init__.py",), "cannot be imported from there: pip install -e"),
])  # fmt: skip
def test_what_is_no_project_is_a_sentence(made: tuple[str, ...], text: str, tmp_path: Path) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")

    with pytest.raises(UsageError, match=text):
        InitCommand(tmp_path).plan(print)


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot write"):
        FileChange(tmp_path / "file" / "pyproject.toml", "", "x").write()
