"""`normcheck check --many`: what each line gets, whatever the others do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.generated import EDITS, sources

import normcheck
from normcheck import cli
from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits
from normcheck.engine.batch import answers
from normcheck.engine.batch.command import Command
from normcheck.engine.batch.tasks import Task, name_in, tasks

HEAD = "import torch\n"
RIGHT = "    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)\n"
SIGNATURE = "def {name}(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"


def code(name: str, body: str = "") -> str:
    """A layer norm that does something more before it answers."""
    more = "".join(f"    {line}\n" for line in body.splitlines())
    return HEAD + SIGNATURE.format(name=name) + more + RIGHT


def lines(path: Path, *given: dict[str, Any] | str) -> Path:
    """A file of lines."""
    text = [
        one if isinstance(one, str) else json.dumps({"kind": "layer_norm", "effort": "smoke"} | one) for one in given
    ]
    path.write_text("".join(f"{one}\n" for one in text))
    return path


def run(path: Path, out: Path, *options: str) -> tuple[int, dict[Any, dict[str, Any]], str]:
    """Status, answers by id and what was printed, of the command in a process of its own."""
    command = (sys.executable, "-m", "normcheck", "check", "--many", str(path), "--out", str(out), *options)
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=path.parent)
    return found.returncode, {one["id"]: one for one in map(json.loads, out.read_text().splitlines())}, found.stderr


def outcome_of(one: dict[str, Any]) -> str:
    """The verdict, and why."""
    return f"{one['verdict']}: {'; '.join([*one['diagnosis'], *one['errors']])}"


HOSTILE = {
    "hangs": ("while True: pass", "error: no verdict within 12 s"),
    "exits": ("import os; os._exit(0)", "error: it ends its process with status 0"),
    "exits by exception": ("raise SystemExit(3)", "error: "),
    "crashes": ("import ctypes; ctypes.string_at(0)", "error: its process was ended by SIGSEGV"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "error: its process was ended by SIGKILL"),
    "kills its parent": ("import os; os.kill(os.getppid(), 9)", ""),
    "takes memory": ("torch.zeros(1 << 40)", "error: "),
    "writes without end": (
        "import os; [os.write(1, b'x' * 65536) for _ in range(1 << 20)]",
        "error: its process was ended by SIGXFSZ"),
    "closes its files": ("import os; os.closerange(0, 4096)", "error: it"),
    "forges": (
        "import os; [os.write(i, b'{}]\\n') for i in range(3, 64) if os.path.exists(f'/proc/self/fd/{i}')]",
        "error: it",
    ),
}  # fmt: skip
"""What code does before it returns, and how its answer begins."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[Any, dict[str, Any]], str]:
    folder = tmp_path_factory.mktemp("hostile")
    some = [{"id": name, "source": code("f", body)} for name, (body, _) in HOSTILE.items()]
    threads = "torch.set_num_threads(2)\n(torch.ones(1 << 20) * 2).sum()\ntorch.set_num_threads(1)\n"
    around = [
        {"id": "first", "source": code("f")},
        {"id": "last", "source": code("f")},
        {"id": "threads", "source": HEAD + threads + code("f")},
    ]
    return run(lines(folder / "in.jsonl", around[0], *some, *around[1:]), folder / "out.jsonl", "--seconds", "12")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_code_does_to_its_process_is_its_own_verdict(name: str, hostile: Any) -> None:
    status, found, _ = hostile
    text = outcome_of(found[name])
    assert text.startswith(HOSTILE[name][1])
    assert status in (1, 4)
    if HOSTILE[name][1]:
        assert not text.startswith("passed")


def test_the_others_go_on(hostile: Any) -> None:
    _, found, printed = hostile
    assert outcome_of(found["first"]) == outcome_of(found["last"]) == "passed: "
    assert len(found) == len(HOSTILE) + 3
    assert f"{len(found)} implementations: " in printed


def test_parallel_regions_run_in_a_copy(hostile: Any) -> None:
    """OpenMP hangs in a copy of a process that has used it: the one that is copied has one thread."""
    assert "no verdict" not in outcome_of(hostile[1]["threads"])


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[Any, dict[str, Any]], Path]:
    folder = tmp_path_factory.mktemp("generated")
    given = [{"id": name, "source": text} for name, text in list(sources(len(EDITS) + 1).items())[::4]]
    status, found, _ = run(lines(folder / "in.jsonl", *given), folder / "out.jsonl", "--jobs", "2")
    assert status == 1
    return found, folder


def test_generated_code_is_found_wrong(generated: Any) -> None:
    found, _ = generated
    assert found["right"]["verdict"] == "passed"
    assert [name for name, one in found.items() if one["verdict"] == "passed" and name != "right"] == []


def test_a_verdict_is_that_of_a_run_alone(generated: Any) -> None:
    found, _ = generated
    for name in list(found)[::3]:
        alone = json.loads(normcheck.check(found[name]["target"], "layer_norm", effort="smoke").to_json())
        (record,) = alone["implementations"]
        assert {key: found[name][key] for key in record if key != "seconds"} == {
            key: value for key, value in record.items() if key != "seconds"
        }


def test_a_line_that_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "in.jsonl", {"id": "right", "source": code("f")}, '{"id": 1,', "[1]",
        {"id": 2, "kind": "layer_nrm", "target": "a:f"},
        {"id": 3}, {"id": 4, "target": "mine.py"}, {"id": 5, "tarket": "a:f"},
        {"id": 6, "target": "a:f", "effort": "smok"},
        {"id": 7, "target": "a:f", "contract": {"eps-plce": "outside"}}, {"id": 8, "source": "def f(:"},
        {"id": "right", "target": "a:f"}, {"id": 9, "source": code("f") + code("g")}, {"id": [], "target": "a:f"},
        {"id": 10, "target": "nowhere.py:f"},
    )  # fmt: skip
    status, found, _ = run(path, tmp_path / "out.jsonl")
    assert status == 4
    assert found.pop("right")["verdict"] == "passed"
    said = {key: one["errors"] for key, one in found.items()}
    assert all(len(some) == 1 for some in said.values())
    assert {key: one[0].partition(": ")[2] for key, one in said.items()} == {
        "line 2": "it is no JSON",
        "line 3": 'it is no JSON object, as in {"kind": "layer_norm", "target": "mine.py:f"}',
        "line 4": "unknown kind 'layer_nrm'; did you mean 'layer_norm'?",
        "line 5": "it has either a target, as in mine.py:f, or a source, the code itself",
        "line 6": "target 'mine.py' is neither package.module:attribute nor path/to/file.py:attribute",
        "line 7": "unknown key 'tarket'; did you mean 'target'?",
        "line 8": "unknown effort 'smok'; did you mean 'smoke'?",
        "line 9": said["line 9"][0].partition(": ")[2],
        "line 10": said["line 10"][0].partition(": ")[2],
        "line 11": "the id 'right' is that of an earlier line",
        "line 12": "it defines several functions and classes (f, g): name one, as in mine.py:f, or define ModelNew",
        "line 13": "its id is neither text nor a whole number",
        10: f"there is no file 'nowhere.py' (relative to {tmp_path})",
    }
    assert "eps-plce" in said["line 9"][0]
    assert "cannot be parsed" in said["line 10"][0]


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", *({"id": i, "source": code("f") + f"# {i}\n"} for i in range(3)))
    out = tmp_path / "out.jsonl"
    status, first, _ = run(path, out)
    assert (status, len(first)) == (0, 3)
    torn = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(torn[0] + torn[1] + torn[2][:40])
    status, again, printed = run(path, out)
    assert (status, len(again)) == (0, 3)
    assert "2 answered before" in printed
    assert out.read_bytes().startswith(torn[0] + torn[1])
    lines(path, {"id": 0, "source": code("f", "eps = 1e-5")}, {"id": 1, "source": code("f") + "# 1\n"})
    status, changed, printed = run(path, out)
    assert (status, changed[0]["verdict"]) == (1, "failed")
    assert "1 answered before" in printed


def test_a_file_of_something_else_is_not_appended_to(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text('{"run": {}}\n')
    with pytest.raises(UsageError, match="has a line that is no answer"):
        answers.answered(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: int) -> None:
    path = lines(
        tmp_path / "in.jsonl", {"id": 1, "source": code("f")}, {"id": 2, "source": code("f", "while True: pass")}
    )
    out = tmp_path / "out.jsonl"
    command = (sys.executable, "-m", "normcheck", "check", "--many", str(path), "--out", str(out), "--jobs", "1")
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # a background job ignores it
    )  # fmt: skip
    end = time.monotonic() + 120
    while time.monotonic() < end and (not out.exists() or not out.read_bytes().endswith(b"\n")):
        time.sleep(0.1)
    time.sleep(1.0)  # the second has begun
    os.kill(process.pid, number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "1 without an answer: the same command goes on" in printed
    assert "Traceback" not in printed
    (one,) = map(json.loads, out.read_text().splitlines())
    assert (one["id"], one["verdict"]) == (1, "passed")


KERNEL_BENCH = """\
import torch
import torch.nn as nn

class Model(nn.Module):
    pass

class ModelNew(nn.Module):
    def __init__(self, num_features: int, num_groups: int, {odd}eps: float = 1e-5):
        super().__init__()
        self.gn = nn.GroupNorm(num_groups=num_groups, num_channels=num_features, eps=eps)

    def forward(self, x):
        return self.gn(x)

def get_inputs():
    return [torch.randn(16, 64, 32, 32)]

def get_init_inputs():
    return [64, 8{more}]
"""


def test_a_folder_of_generated_kernels(tmp_path: Path) -> None:
    """Files as KernelBench has them, without a kind; where the constructor needs more, its arguments are the file's."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "1_group.py").write_text(KERNEL_BENCH.format(odd="", more=""))
    (folder / "2_odd.py").write_text(KERNEL_BENCH.format(odd="block_size: int, ", more=", 128"))
    (folder / "3_layer.py").write_text(code("layer_norm"))
    (folder / "4_none.py").write_text("x = 1\n")
    status, found, _ = run(folder, tmp_path / "out.jsonl", "--effort", "smoke")
    assert status == 4
    assert {name: (one["kind"], one["verdict"]) for name, one in found.items()} == {
        "1_group.py": ("group_norm", "passed"),
        "2_odd.py": ("group_norm", "passed"),
        "3_layer.py": ("layer_norm", "passed"),
        "4_none.py": ("", "error"),
    }
    assert found["2_odd.py"]["target"].endswith("2_odd.py:ModelNew(64, 8, 128)")
    assert "no public function or class" in found["4_none.py"]["errors"][0]


def test_a_question_changes_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(code("f"))
    one = Task(1, "layer_norm", f"{file}:f")
    before = one.digest
    file.write_text(code("f") + "\n")
    assert one.digest != before
    assert Task(1, "rms_norm", f"{file}:f").digest != one.digest


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"jobs": -1}, "--jobs is a number from 1 on"),
        ({"kind": "layer"}, "unknown kind 'layer'"),
        ({"effort": "hard"}, "unknown effort 'hard'"),
        ({"contract": ("eps",)}, "is not KEY=VALUE"),
        ({"limits": Limits(0.0, 1.0, 0.0)}, "above 0"),
        ({"many": Path("nowhere.jsonl")}, "cannot read nowhere.jsonl"),
    ],
)  # fmt: skip
def test_wrong_options(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", {"id": 1, "source": code("f")})
    with pytest.raises(UsageError, match=text):
        Command(**({"many": path} | changes)).run(print)


def test_an_empty_file_has_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="has nothing to check"):
        tasks(tmp_path / "in.jsonl", kind="", contract={}, effort="smoke")


def test_the_name_of_an_implementation() -> None:
    assert name_in("def f(): ...\ndef _g(): ...\n") == "f"
    assert name_in("class Model: ...\nclass ModelNew: ...\n") == "ModelNew"


def test_help_describes_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "--help"]) == 0
    printed = capsys.readouterr().out
    assert '"target": "mine.py:f"' in printed
    assert "Exit status" in printed


def test_answers_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answers of several machines, one file after another, are a document that every form is made of."""
    path = lines(tmp_path / "in.jsonl", {"id": 1, "source": code("f")}, {"id": 2, "source": code("f", "eps = 1e-5")})
    run(path, tmp_path / "out.jsonl")
    assert cli.run(["report", str(tmp_path / "out.jsonl"), "--json", str(tmp_path / "run.json")]) == 0
    document = json.loads((tmp_path / "run.json").read_text())
    assert [one["verdict"] for one in document["implementations"]] == ["passed", "failed"]
