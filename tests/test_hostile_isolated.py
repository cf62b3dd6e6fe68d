"""Many hostile functions in processes of their own, in one run: each verdict is named, and nobody else is harmed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

HOSTILE = Path(__file__).parent / "hostile"

INVALID = r"it sent an invalid response"
KILL = r"PermissionError: \[Errno 1\] Operation not permitted|it ends the process that supervises it|its process"
CHOSEN = "a_call or value or moments or input-gradient"

ENDS = {
    **dict.fromkeys(
        (
            "replies:nothing",
            "replies:no_result",
            "replies:null",
            "replies:a_list",
            "replies:a_text",
            "replies:no_keys",
            "replies:one_key_less",
            "replies:one_key_more",
            "replies:text_for_array",
            "replies:other_shape",
            "replies:number_for_texts",
            "replies:mapping_for_text",
            "replies:number_for_truth",
            "replies:changes_are_a_number",
            "replies:reason_is_a_list",
            "replies:no_reason",
            "replies:usage_is_a_number",
            "replies:both_kinds",
            "replies:deeper",
            "replies:long_text",
            "replies:zeros",
        ),
        INVALID,
    ),
    "processes:orphan": r"processes that it leaves behind: 1 \(when it ends\)",
    "processes:many_orphans": r"processes that it leaves behind: 20 \(when it ends\)",
    "processes:a_program": r"it leaves a child process",
    "processes:kills_the_fork_server": KILL,
    "processes:kills_the_judge": KILL,
    "processes:kills_its_group": r"ended by SIGKILL",
    "processes:interrupts_itself": r"its process raised KeyboardInterrupt",
    "processes:stops_itself": r"does not respond within 10 s",
    "processes:alarm": r"ended by SIGALRM",
    "settings:umask": r"it changes the umask",
    "settings:open_files": r"it changes the resource limits",
    "settings:file_size": r"it changes the resource limits",
    "settings:cpu_time": r"it changes the resource limits",
    "settings:no_modules": r"raised (RuntimeError|ImportError|AttributeError|ModuleNotFoundError)",
    "settings:default_format": r"it replaces torch\.Storage",
    "settings:folder": r"it changes the working directory",
    "settings:variable": r"it changes the environment \(LD_PRELOAD, OMP_NUM_THREADS\)",
    "exceptions:workflow_command": r"raised ValueError: : :stop-commands::x",
    "exceptions:old_command": r"raised ValueError: ## \[error\]x ##vso \[task",
    "exceptions:second_line": r"raised ValueError: a \(",
    "exceptions:colors": r"raised ValueError: red  \\x08\\x9b2J",
    "exceptions:surrogate": r"raised ValueError: \\udcff lone",
    "exceptions:reversed_text": r"raised ValueError: \\u202egnorw",
    "exceptions:markup": r"raised ValueError: </script>",
    "exceptions:long": r"raised ValueError: x{156} \.\.\.",
    "exceptions:mute": r"raised Mute",
    "exceptions:no_text": r"raised NoText",
    "exceptions:nameless": r"raised Nameless: x",
    "exceptions:interrupt": r"raised KeyboardInterrupt",
    "exceptions:generator_exit": r"raised GeneratorExit",
    "exceptions:cancelled": r"raised CancelledError",
    "exceptions:skip": r"raised Skipped: nothing to see",
    "exceptions:leaves": r"raised Exit: all is well",
    "exceptions:skip_test": r"raised SkipTest: nothing to see",
    "returns:nothing": r"returned NoneType, not a tensor",
    "returns:text": r"returned str, not a tensor",
    "returns:other_shape": r"returned a tensor of shape \(6, 7\)",
    "returns:meta": r"raised NotImplementedError: Cannot copy out of meta tensor",
    "returns:sparse": r"raised TypeError: can't convert Sparse layout",
    "returns:huge": r"returned a tensor of shape \(1099511627776,\)",
    "returns:generator": r"returned list_iterator, not a tensor",
    "returns:subclass": r"raised SystemExit: not that",
}
"""What is said of each that gets no further than its first questions."""

JUDGED = ("returns:complex_numbers", "returns:booleans", "returns:its_input")
"""Those that answer, and are found out by their numbers."""

HARMLESS = ("settings:warning_filters", "settings:no_output")
"""What they change is put back, or concerns nobody: they are right."""


class Session:
    """A pytest session over targets, in a process of its own whose descendants can be recognized by a mark."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.mark = uuid.uuid4().hex
        self.names, self.folder = names, folder
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\nnorm_isolate_seconds = 10\nnorm_isolate_gigabytes = 1\n")
        words = [word for name in names for word in ("--norm", f"layer_norm={_target(name)}")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm-isolate", "--norm-effort",
             "quick", "-k", CHOSEN, "--norm-json", "out.json", *words],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"NORMCHECK_MARK": self.mark}, errors="surrogateescape",
        )  # fmt: skip
        self.output = ""

    def records(self) -> dict[str, dict[str, Any]]:
        """The records of its implementations by name, when it has ended."""
        self.output = self.process.communicate(timeout=300)[0]
        found = json.loads((self.folder / "out.json").read_text())["implementations"]
        by_target = {one["target"]: one for one in found}
        return {name: by_target[_target(name)] for name in self.names}


def _marked(mark: str) -> list[str]:
    """The processes that are there and have a mark in their environment."""
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path)]


def _target(name: str) -> str:
    file, _, function = name.partition(":")
    return f"{HOSTILE / file}.py:{function}"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, Any], dict[str, Any]]:
    """A session over all, with right ones at both ends; its records, and those of the right ones in their own."""
    folder = tmp_path_factory.mktemp("hostile")
    every = Session(folder / "every", ("sound:f", *ENDS, *JUDGED, *HARMLESS, "sound:g"))
    alone = Session(folder / "alone", ("sound:f", "sound:g"))
    return every, every.records(), alone.records()


def test_there_are_enough() -> None:
    for name in ("replies", "processes", "settings", "exceptions", "returns"):
        text = (HOSTILE / f"{name}.py").read_text()
        made = re.findall(r"^(\w+) = (?:forging|doing|raising|returning)\(", text, re.MULTILINE)
        assert {f"{name}:{one}" for one in made} <= {*ENDS, *JUDGED, *HARMLESS}
    assert len(ENDS) + len(JUDGED) + len(HARMLESS) >= 60


@pytest.mark.parametrize("name", ENDS)
def test_what_happened_is_named(sessions: Any, name: str) -> None:
    one = sessions[1][name]

    assert one["verdict"] == "error"
    assert re.search(ENDS[name], " ".join(one["errors"])), one["errors"]


@pytest.mark.parametrize("name", JUDGED)
def test_a_wrong_answer_is_found_out(sessions: Any, name: str) -> None:
    assert sessions[1][name]["verdict"] == "failed"
    assert sessions[1][name]["findings"]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_harms_nobody_passes(sessions: Any, name: str) -> None:
    assert sessions[1][name]["verdict"] == "passed"


@pytest.mark.parametrize("name", ["sound:f", "sound:g"])
def test_neighbors_have_the_records_that_they_have_alone(sessions: Any, name: str) -> None:
    every, own = ({k: v for k, v in records[name].items() if k != "seconds"} for records in sessions[1:])

    assert every == own
    assert every["verdict"] == "passed"


def test_the_log_holds_no_command_and_no_traceback_of_ours(sessions: Any) -> None:
    output = sessions[0].output

    assert not re.search(r"^\s*::|##\w*\[", output, re.MULTILINE)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", output)
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output


def test_no_process_is_left(sessions: Any) -> None:
    """The fork server ends by itself, soon after the session."""
    _wait(lambda: not _marked(sessions[0].mark), 10.0)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_worker_dies_with_its_judge(tmp_path: Path, number: str) -> None:
    """Even one that holds the lock of the interpreter for ever, in code that is no Python."""
    (tmp_path / "mine.py").write_text(
        "import re\n"
        "def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"
        "    open('started', 'w').close()\n"
        "    re.match('(a+)+$', 'a' * 60 + 'b')\n"
    )
    mark = uuid.uuid4().hex
    words = ["--norm", f"layer_norm={tmp_path}/mine.py:f", "--norm-isolate", "-q", "-p", "no:cacheprovider"]
    judge = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"NORMCHECK_MARK": mark},
    )  # fmt: skip
    _wait((tmp_path / "started").exists, 60.0)
    assert len(_marked(mark)) >= 4  # judge, fork server, supervisor, worker
    judge.send_signal(getattr(signal, number))
    judge.wait()

    _wait(lambda: not _marked(mark), 10.0)


def _wait(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "too late"
        time.sleep(0.05)
