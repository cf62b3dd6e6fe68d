"""Hostile code in a process of its own: each ends in a verdict that names what happened, and nobody else is harmed."""

from __future__ import annotations

import json
import multiprocessing.forkserver  # noqa: F401  # one server for all tests of this process
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from normcheck import families
from normcheck.core.claim import Implementation
from normcheck.core.errors import LostError, UsageError
from normcheck.core.events import outcomes_of
from normcheck.core.limits import Isolation, Limits
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.frameworks.isolation import wire
from normcheck.frameworks.isolation.remote import Remote
from normcheck.frameworks.isolation.side_effects import SideEffects
from normcheck.normalizers.sampling.recipes import Draw, values

ROOT = Path(__file__).parent.parent
HOSTILE = Path(__file__).parent / "hostile"
SECONDS = 5.0

ENDS = {
    "segfault": r"ended by SIGSEGV .*in string_at at ",
    "abort": r"ended by SIGABRT .*, in f at abort\.py:\d+",
    "endless_loop": r"does not respond within 5 s \(a \w+ float32 input\)",
    "sleeps": r"does not respond within 5 s",
    "memory": r"can't allocate memory|cannot allocate memory|MemoryError",
    "sys_exit": r"raised SystemExit: 0",
    "os_exit": r"ends its process with status 0",
    "recursion": r"ended by SIGSEGV|RecursionError",
    "endless_thread": r"does not end within 5 s, threads still running: spinner",
    "output_flood": r"ended by SIGXFSZ .*writes without end",
    "patches_torch": r"replaces torch\.nn\.functional\.layer_norm",
    "patches_numpy": r"replaces numpy\.abs",
    "patches_time": r"replaces time\.perf_counter|replaces time\.monotonic",
    "patches_random": r"replaces random\.random",
    "patches_pytest": r"replaces pytest\.fail",
    "changes_folder": r"changes the working directory",
    "changes_environment": r"changes the environment \(PATH\)",
    "closes_files": r"closes the file descriptors of its process",
    "closes_output": r"closes file descriptor 1",
    "forks": r"leaves a child process",
    "answers_twice": r"leaves a child process",
    "deadlock_at_exit": r"does not end within 5 s",
    "kills_its_parent": r"PermissionError|it ends the process that supervises it",
    "exits_at_import": r"ends its process with status 3 \(when it is imported\)",
    "sends_a_pickle": r"it sent an invalid response",
}
"""What is said of each that gets no further than its first questions."""

JUDGED = {"forges": "failed", "peeks": "failed"}
"""Those that answer, and are found out by their numbers."""


def test_every_hostile_file_is_asked() -> None:
    several = {"sound", "replies", "processes", "settings", "exceptions", "returns"}  # test_hostile_isolated.py
    assert {path.stem for path in HOSTILE.glob("*.py")} - several == ENDS.keys() | JUDGED.keys()
    assert len(ENDS) + len(JUDGED) >= 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """One run over all of them, with a sound one at each end; the records by name."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "pytest.ini").write_text("[pytest]\nnorm_isolate_seconds = 5\nnorm_isolate_gigabytes = 1\n")
    targets = [HOSTILE / "sound.py:f", *(HOSTILE / f"{name}.py:f" for name in (*ENDS, *JUDGED)), HOSTILE / "sound.py:g"]
    words = [word for target in targets for word in ("--norm", f"layer_norm={target}")]
    chosen = "a_call or value or moments or input-gradient"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--norm-isolate", "--norm-effort", "quick",
         "-k", chosen, "--norm-json", "out.json", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert not (folder / "taken").exists()
    records = json.loads((folder / "out.json").read_text())["implementations"]
    return {one["target"].rpartition("/")[2].replace(".py:f", ""): one for one in records}


@pytest.mark.parametrize("name", ENDS)
def test_what_happened_is_named(run: dict[str, dict], name: str) -> None:
    one = run[name]

    assert one["verdict"] == "error"
    assert re.search(ENDS[name], " ".join(one["errors"])), one["errors"]


@pytest.mark.parametrize("name", JUDGED)
def test_a_lie_is_found_out_by_its_numbers(run: dict[str, dict], name: str) -> None:
    assert run[name]["verdict"] == JUDGED[name]
    assert {f["check"] for f in run[name]["findings"]} >= {"value"}


def test_the_others_are_complete(run: dict[str, dict]) -> None:
    """Every implementation has its verdict, and those that are right the same counts as in a run of their own."""
    (claim,), asker = claims([("layer_norm", f"{HOSTILE / 'sound.py'}:f")], {}), Asker(Settings("quick"))
    compared = sum(asker.run_check(claim, check).compared for check in checks_of(claim, _checks(), asker.settings))

    assert len(run) == len(ENDS) + len(JUDGED) + 2
    for name in ("sound", "sound.py:g"):
        assert run[name]["verdict"] == "passed"
        assert run[name]["compared"] == compared > 10_000


def _checks() -> list:
    """Those that the run above chooses by name."""
    from normcheck.families import CHECKS

    words = ("value", "moments", "input-gradient")
    return [check for check in CHECKS if any(word in check.name for word in words)]


# In this process


@pytest.fixture
def remote() -> Iterator:
    made: list[Remote] = []

    def make(name: str, kind: str = "layer_norm", seconds: float = SECONDS) -> Remote:
        made.append(Remote(Implementation(kind, name), families.get(kind), Limits(seconds, 1.0)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "claim",
    [
        "layer_norm=torch.nn.functional:layer_norm",
        "batch_norm=torch.nn:BatchNorm1d",
        "weight_norm=torch.nn.utils.parametrizations:weight_norm",
    ],
)
def test_isolated_answers_are_the_same_answers(claim: str) -> None:
    """Functions, modules with lives, and transforms of modules: each check comes to the same."""

    def outcomes(settings: Settings) -> list[dict]:
        records = [outcome.record() for outcome in outcomes_of(events(claims([claim], {}), settings))]
        return [{key: value for key, value in record.items() if key != "seconds"} for record in records]

    found = outcomes(Settings("quick", isolate=Isolation(Limits(60.0))))
    assert found == outcomes(Settings("quick"))
    assert sum(record["compared"] for record in found) > 10_000


def test_what_is_lost_in_one_question_is_there_in_the_next(remote, tmp_path: Path) -> None:
    """A process that dies on large values is started anew twice, and then given up with a reason."""
    (tmp_path / "mine.py").write_text(
        "import os, torch\n"
        "def f(x, normalized_shape, weight=None, bias=None, eps=1e-5):\n"
        "    if x.abs().max() > 1000: os.abort()\n"
        "    return torch.nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)\n"
    )
    one = remote(f"{tmp_path}/mine.py:f")
    subject = one.subject()
    large, small = (values(subject.normalizer, Draw(format="float32", offset=offset)) for offset in (1e5, 1.0))
    for _ in range(2):
        with pytest.raises(LostError, match="SIGABRT"):
            subject.call(large, False)
        with pytest.raises(LostError, match="SIGABRT"):
            subject.call(small, False)
        one.renew()
        assert subject.call(small, False).y.shape == small.x.shape
    with pytest.raises(LostError, match="not called again, after 3 lost processes"):
        subject.call(large, False)
    one.renew()
    with pytest.raises(LostError, match="not called again"):
        subject.call(small, False)


def test_an_object_cannot_be_isolated() -> None:
    (claim,) = claims([("layer_norm", lambda x, normalized_shape: x)], {})

    assert (
        "isolation needs a target as text"
        in Asker(Settings("quick", isolate=Isolation(Limits()))).run_call(claim).reason
    )


def test_a_target_that_cannot_be_loaded_is_said_as_ever(remote) -> None:
    with pytest.raises(UsageError, match="there is no module 'nowhere'"):
        remote("nowhere:f").subject()


def test_no_expected_value_is_sent() -> None:
    """What a process is asked holds inputs and choices; a case has no field for what is right."""
    from dataclasses import fields

    from normcheck.normalizers.case import Case

    assert not {f.name for f in fields(Case)} & {"y", "dx", "expected", "truth", "bound", "allowed"}


@pytest.mark.parametrize("value", [{"a": 1.5, "b": [None, "x", True]}, {"a": {"b": {}}}, {}])
def test_records_cross_the_wire(value: dict) -> None:
    assert wire.decode(wire.encode(value)) == value


def test_arrays_cross_the_wire_bit_for_bit() -> None:
    arrays = [np.array(3.0), np.zeros((0, 4)), np.array([[np.nan, -0.0], [np.inf, 5e-324]])]
    found = wire.decode(wire.encode({"a": arrays, "b": arrays[2]}))

    for one, other in zip([*arrays, arrays[2]], [*found["a"], found["b"]], strict=True):
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 7, b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", (2).to_bytes(8, "little") + b"{}",
        wire.encode({"a": np.ones(3)})[:-1], wire.encode({"a": np.ones(3)}) + b"\0",
        wire.encode({})[:8] + b'{"dict": [["a", {"array": [-1]}]]}',
        b"\x30\0\0\0\0\0\0\0" + b'{"dict": [["a", {"array": [9999999999999999]}]]}'.ljust(48),
        (200_000).to_bytes(8, "little") + b"[" * 100_000 + b"]" * 100_000,
    ],
)  # fmt: skip
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(data)


def test_traces_see_what_is_replaced_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = SideEffects(())
    assert not [said for said in traces.left() if "replaces" in said]
    with monkeypatch.context() as patch:
        patch.setattr("math.sqrt", abs)
        assert "it replaces math.sqrt" in traces.left()
    assert not [said for said in traces.left() if "replaces" in said]


@pytest.mark.parametrize("words", [("seconds = soon", "are numbers"), ("gigabytes = 0", "are above 0")])
def test_limits_that_are_none_end_with_4(pytester: pytest.Pytester, words: tuple[str, str]) -> None:
    pytester.makeini(f"[pytest]\nnorm_isolate_{words[0]}\n")
    result = pytester.runpytest_inprocess("--norm", "layer_norm=torch.nn.functional:layer_norm", "--norm-isolate")

    assert result.ret == 4
    assert words[1] in result.stderr.str()
