"""`normcheck survey` on a made-up library: what it finds, what it says of it, and that a killed survey goes on."""

from __future__ import annotations

import copy
import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from normcheck import cli
from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits
from normcheck.engine.batch.tasks import Task
from normcheck.engine.survey import examine, members, reproductions
from normcheck.engine.survey.command import SurveyCommand
from normcheck.engine.survey.journal import opened
from normcheck.engine.survey.libraries import is_named, library
from normcheck.report.survey import files as survey_files
from normcheck.report.survey import markdown as survey_markdown
from normcheck.report.survey import page as survey_page
from normcheck.report.survey import tables

LAYERS = """\
import torch
from torch import nn

class RightNorm(nn.Module):
    '''As torch has it.'''
    def __init__(self, hidden_size, eps=1e-5):
        super(RightNorm, self).__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x):
        return nn.functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)

class CopiedNorm(nn.Module):
    def __init__(self, hidden_size, eps=1e-5):
        super(CopiedNorm, self).__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x):
        return nn.functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)

def gemma_norm(x, weight, eps=1e-6):
    return nn.functional.rms_norm(x, x.shape[-1:], 1.0 + weight, eps)

def floor_norm(x, weight):
    return nn.functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * weight

class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.g = nn.Parameter(torch.ones(dim, 1, 1))

    def forward(self, x):
        return nn.functional.normalize(x, dim=1) * self.g * x.shape[-1] ** 0.5

class SquareNorm(nn.Module):
    def forward(self, x):
        return x / x.square().mean(-1, keepdim=True)

def build_norm(pretrained=False, **options):
    raise MemoryError("a model is built")

def wrong_norm(x, weight, eps=1e-6):
    return nn.functional.rms_norm(torch.nan_to_num(x), x.shape[-1:], weight, eps)

def half(x, weight):
    return x

class NormConfig:
    def __init__(self, size): self.size = size

normalized_names = 3

def _private_norm(x): return x

def init_normal(x): return x
"""

BAD = """\
import ctypes, time

def hanging_norm(x, weight):
    time.sleep(1e6)

def crashing_norm(x, weight):
    ctypes.string_at(0)

def odd_norm(x, flux_capacitor):
    return x
"""

FILES = {
    "__init__.py": "from .layers import RightNorm\nfrom ._kernels import private_place_norm\n",
    "layers.py": LAYERS,
    "more/__init__.py": "from ..layers import RightNorm, gemma_norm\n",
    "more/bad.py": BAD,
    "_kernels.py": "def private_place_norm(x): return x[0]\ndef unreachable_norm(x): return x\n",
    "broken.py": "raise SystemExit('no')\ndef some_norm(x): return x\n",
    "tests/test_norms.py": "def rms_norm(x): return x\n",
    "empty.py": "x = 1\n",
}

STANDINGS = {
    "madeup:RightNorm": "right",
    "madeup:private_place_norm": "unbound",
    "madeup.layers:gemma_norm": "convention",
    "madeup.layers:floor_norm": "convention",
    "madeup.layers:RMSNorm": "finding",
    "madeup.layers:SquareNorm": "unknown",
    "madeup.layers:build_norm": "unbound",
    "madeup.layers:wrong_norm": "finding",
    "madeup.layers:NormConfig": "unbound",
    "madeup.more.bad:hanging_norm": "stopped",
    "madeup.more.bad:crashing_norm": "stopped",
    "madeup.more.bad:odd_norm": "unbound",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("survey")
    for name, text in FILES.items():
        path = made / "madeup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


COMMAND = (sys.executable, "-m", "normcheck", "survey", "madeup", "--out=out", "--effort=smoke", "--seconds=20")


@pytest.fixture(scope="module")
def killed(folder: Path) -> bytes:
    """The journal of a survey that was killed when it had two rows."""
    journal = folder / "out" / "survey.jsonl"
    process = subprocess.Popen((*COMMAND, "--jobs", "1"), cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not journal.exists() or journal.read_bytes().count(b'"standing"') < 2):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    journal.write_bytes(journal.read_bytes() + b'{"key": "torn')
    return journal.read_bytes().rpartition(b"\n")[0]


@pytest.fixture(scope="module")
def surveyed(folder: Path, killed: bytes) -> tuple[dict[str, Any], str]:
    """The document of the same command, and what was printed."""
    done = subprocess.run(COMMAND, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    return json.loads((folder / "out" / "survey.json").read_text()), done.stderr


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["target"]: one for one in document["libraries"][0]["normalizers"]}


def test_each_callable_has_its_standing(surveyed: Any) -> None:
    assert {name: one["standing"] for name, one in rows(surveyed[0]).items()} == STANDINGS


def test_the_same_code_is_checked_once(surveyed: Any) -> None:
    """A class that is exported twice has its shortest name, and a copy under another name is the same code."""
    assert rows(surveyed[0])["madeup:RightNorm"]["same"] == ["madeup.layers:CopiedNorm"]
    assert surveyed[0]["libraries"][0]["names"] == len(STANDINGS) + 1


def test_what_could_not_be_checked_has_a_reason(surveyed: Any) -> None:
    found = rows(surveyed[0])
    assert "flux_capacitor" in found["madeup.more.bad:odd_norm"]["reason"]
    assert "no verdict within 20 s" in found["madeup.more.bad:hanging_norm"]["reason"]
    assert "SIGSEGV" in found["madeup.more.bad:crashing_norm"]["reason"]
    assert surveyed[0]["libraries"][0]["problems"] == {"madeup.broken": "SystemExit: no"}
    assert not any("\n" in one["reason"] for one in found.values())


def test_a_row_has_contract_accuracy_and_gradient(surveyed: Any) -> None:
    found = rows(surveyed[0])
    assert found["madeup.layers:gemma_norm"]["card"]["contract"] == {"weight": "1+w"}
    assert found["madeup:RightNorm"]["card"]["contract"] == {}
    assert found["madeup:RightNorm"]["card"]["offset"] >= 1e5
    assert found["madeup:RightNorm"]["card"]["gradient"] == "full"


def test_what_is_right_is_timed(surveyed: Any) -> None:
    """A ratio with its interval for what is right or follows a convention, nothing for what is wrong."""
    found = rows(surveyed[0])
    ratio = found["madeup:RightNorm"]["speed"]
    assert ratio["baseline"] == "fused"
    assert 0.0 < ratio["low"] <= ratio["value"] <= ratio["high"]
    assert found["madeup.layers:gemma_norm"]["speed"]
    assert not found["madeup.layers:wrong_norm"]["speed"]
    assert not found["madeup.more.bad:hanging_norm"]["speed"]


def test_a_survey_without_times_has_no_column_of_them(surveyed: Any) -> None:
    document = copy.deepcopy(surveyed[0])
    assert tables.SPEED_HEAD in dict(survey_files.contents(document))[".md"]
    for row in rows(document).values():
        del row["speed"]
    assert tables.SPEED_HEAD not in dict(survey_files.contents(document))[".md"]


def test_a_layer_is_what_its_name_says(surveyed: Any) -> None:
    """RMSNorm multiplies by the root of an image's width, not of its channels: that kind, and wrong."""
    found = rows(surveyed[0])["madeup.layers:RMSNorm"]
    assert found["kind"] == "rms_norm"
    assert found["record"]["causes"]
    assert "scaled by mean square itself" in rows(surveyed[0])["madeup.layers:SquareNorm"]["reason"]


def test_a_finding_has_its_reproduction(surveyed: Any) -> None:
    record = rows(surveyed[0])["madeup.layers:wrong_norm"]["record"]
    assert record["findings"]
    (cause,) = record["causes"]
    assert cause["name"] == "nan-leaks"
    assert "rms_norm=madeup.layers:wrong_norm --norm-replay" in cause["finding"]["replay"]


def test_a_killed_survey_goes_on(folder: Path, killed: bytes, surveyed: Any) -> None:
    """What was found before is kept as it is, no callable is checked twice, and a torn line is dropped."""
    data = (folder / "out" / "survey.jsonl").read_bytes()
    assert data.startswith(killed)
    keys = [json.loads(one)["key"] for one in data.splitlines()]
    assert len(keys) == len(set(keys)) == data.count(b'"module"') + len(STANDINGS)
    assert killed.count(b'"standing"') >= 2
    assert f"/{len(STANDINGS)} " in surveyed[1]


def test_the_pages_have_everything(folder: Path, surveyed: Any) -> None:
    for name in ("survey.md", "survey.html"):
        text = html.unescape((folder / "out" / name).read_text())
        assert all(target in text for target in STANDINGS)
        assert all(word in text for word in ("madeup.broken", "weight=1+w", "nan-leaks", "containment/"))
    page = (folder / "out" / "survey.html").read_text()
    assert not re.search(r'<script|(?:src|href)="(?!#)', page)


WRONG = (
    "import torch", "from madeup.layers import wrong_norm", "x = torch.tensor([float('nan'), 1.0])",
    "y = wrong_norm(x, torch.ones(2))", "print(0.0 if y.isnan().all() else float('inf'))  # inf; allowed 0",
)  # fmt: skip
"""A script as a finding has it."""


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (WRONG, "reproduced"),
        ((*WRONG[:3], "y = torch.nn.functional.rms_norm(x, (2,))", WRONG[4]), "not reproduced"),
        (("import normcheck", "print(1.0)  # 1; allowed 0"), "does not run"),
        (("print(1.0 / 0.0)  # 1; allowed 0",), "does not run"),
    ],
)
def test_a_script_is_run_without_normcheck(
    script: tuple[str, ...], shown: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit status says whether the finding is reproduced; one that cannot run reproduces nothing."""
    monkeypatch.setenv("PYTHONPATH", str(folder))
    found, printed = reproductions.run(reproductions.standalone(script))

    assert (found, bool(printed)) == (shown, True)


def survey_command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "normcheck", "survey", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_verify_and_report(folder: Path, surveyed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scripts show is in the files; a report has no folder of this machine, and its texts follow from JSON."""
    document = json.loads(json.dumps(surveyed[0]))
    row = rows(document)["madeup.layers:wrong_norm"]
    assert [one["cause"] for one in row["reproductions"]] == ["nan-leaks"]
    row["reproductions"][0]["script"] = list(reproductions.standalone(WRONG))
    rows(document)["madeup.more.bad:odd_norm"]["reason"] = f"it needs {folder}/madeup/flux.so"
    verified = folder / "verified"
    verified.mkdir()
    (verified / "survey.json").write_text(json.dumps(document))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))
    done = survey_command(folder, "--verify", "--out=verified", "--report=verified/field")

    assert done.returncode == 0, done.stderr
    assert "madeup.layers:wrong_norm: nan-leaks: reproduced, inf allowed 0" in done.stderr
    report = json.loads((verified / "field.json").read_text())
    for ending, text in survey_files.contents(report):
        assert (verified / f"field{ending}").read_text() == text
        assert str(folder) not in text
        assert "flux.so" in text
    for name in ("field.md", "survey.md", "field.html", "survey.html"):
        text = html.unescape((verified / name).read_text())
        assert re.search(r"reproduced.*inf allowed 0", text, re.DOTALL), name
        assert "raise SystemExit(0 if found <= 0 else 3)" in text


def test_what_is_not_reproduced_is_said(folder: Path, surveyed: Any) -> None:
    document = json.loads(json.dumps(surveyed[0]))
    rows(document)["madeup.layers:wrong_norm"]["reproductions"][0]["script"] = ["raise SystemExit(0)"]
    (folder / "mended").mkdir()
    (folder / "mended" / "survey.json").write_text(json.dumps(document))
    done = survey_command(folder, "--verify", "--out=mended")

    assert done.returncode == 1
    assert "nan-leaks: not reproduced" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--verify", "--out=nowhere"), "make it: normcheck survey --out nowhere"),
        (("madeup", "--report=x"), "name no library"),
    ],
)
def test_a_report_of_nothing(folder: Path, words: tuple[str, ...], says: str) -> None:
    done = survey_command(folder, *words)

    assert done.returncode == 4
    assert says in done.stderr


def test_the_pages_have_the_script_of_a_finding(surveyed: Any) -> None:
    document = json.loads(json.dumps(surveyed[0]))
    record = rows(document)["madeup.layers:wrong_norm"]["record"]
    for one in (*record["findings"], *(cause["finding"] for cause in record["causes"])):
        one["script"] = ["import torch  # the script"]
    for text in (survey_markdown.text(document), survey_page.text(document)):
        assert "import torch  # the script" in html.unescape(text)


def test_text_in_a_page_cannot_act(surveyed: Any) -> None:
    """A reason that a library made up is text."""
    document = json.loads(json.dumps(surveyed[0]))
    for one in document["libraries"][0]["normalizers"]:
        one["reason"] = one["target"] = "<script>|x|"
    for text in (survey_markdown.text(document), survey_page.text(document)):
        assert "<script>" not in text


@pytest.mark.parametrize(
    ("name", "says"),
    [("no_such_library", "there is no library 'no_such_library'"), ("a b", "there is no library"), ("..", "there is"),
     ("torch.nowhere", "no Python code")],
)  # fmt: skip
def test_a_library_that_is_not_there(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        library(name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"jobs": -1}, "--jobs"), ({"effort": "hard"}, "unknown effort 'hard'"), ({"limits": Limits(0.0, 1.0, 0.0)}, "0")],
)  # fmt: skip
def test_options_that_are_wrong(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        SurveyCommand(**({"libraries": ("torch.nn",), "out": tmp_path} | changes)).run(print)


def test_a_file_of_something_else_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "survey.jsonl").write_text("[]\n")
    with pytest.raises(UsageError, match="name another folder"), opened(tmp_path / "survey.jsonl"):
        pass


def test_names_that_are_searched() -> None:
    assert all(map(is_named, ("LayerNorm2d", "rmsnorm", "normalize", "InstanceNormalization", "ZCAWhitening")))
    assert not any(map(is_named, ("Normal", "log_normal", "_norm", "enormous", "Linear", "abnormal")))


def test_code_that_differs_in_what_it_uses_differs() -> None:
    """Two functions of equal text whose globals differ are not the same code; their docstrings do not count."""
    text = "def f_norm(x):\n    '{}'\n    return g(x)\n"
    found = []
    for doc, other in (("a", abs), ("b", abs), ("a", max)):
        space = {"g": other, "__name__": "made"}
        exec(compile(text.format(doc), "made", "exec"), space)
        members.inspect.linecache.cache["made"] = (1, None, text.format(doc).splitlines(keepends=True), "made")
        found.append(members.digest(space["f_norm"]))
    assert found[0] == found[1] != found[2]


def test_what_a_process_forges_is_no_row() -> None:
    """Code under test that writes into the connection makes a row of its own, and breaks nothing."""
    for forged in ({"identity": {"kind": 3}}, {"identity": [1]}, {"identity": {}}):
        made = examine.row(Task("a:f", target="a:f"), [forged], "", 0.0)
        assert (made["standing"], made["reason"]) == ("stopped", "it sends what is no result")


def test_help_says_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["survey", "--help"]) == 0
    assert "survey.jsonl" in capsys.readouterr().out
