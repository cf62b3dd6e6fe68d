"""Runs that are killed at every event, in every way: no answer may be lost, and nothing may pass that was not asked.

    python tests/killed_runs.py --injections 200

A run of a few checks is repeated; at one event of its stream something happens to it. Afterwards its files are read.
Each fourth run is then resumed, and must end with the document of a run to which nothing happens.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from normcheck.core.events import JOURNAL_SUFFIX, CheckDone, ClaimBound
from normcheck.engine import journal
from normcheck.pytest_plugin import collector, journal_file, suite_run  # noqa: F401  # loaded once, before the forks
from normcheck.report import files
from normcheck.report.page import html  # noqa: F401

CHECKS = "test_call or test_conventions or value or moments or sign or affine-map or eps-is-read or repeats"
CLAIMS = ("layer_norm=torch.nn.functional:layer_norm", "rms_norm=torch.nn.functional:rms_norm")
OPTIONS = ("-q", "-p", "no:cacheprovider", "--norm-effort", "quick", "-k", CHECKS)
OUTPUTS = ("--norm-json", "out.json", "--norm-badge", "badge.json", "--norm-markdown", "out.md")
OLD = '{"an earlier run": "which must stay whole"}'
SEEN = "seen.txt"


def _raise(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


def _full_once() -> None:
    """The next write of the journal writes a half, and the disk is full; the one after it succeeds."""
    whole = journal_file.write_all

    def half(file: Any, data: bytes) -> None:
        journal_file.write_all = whole
        whole(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal_file.write_all = half


def _full_from_now() -> None:
    """Nothing is written any more."""

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal_file.write_all = full
    files.atomic_write = full


WAYS = {
    "raise": _raise(RuntimeError("injected")),
    "KeyboardInterrupt": _raise(KeyboardInterrupt()),
    "GeneratorExit": _raise(GeneratorExit()),
    "pytest.exit": lambda: pytest.exit("injected", returncode=0),
    "pytest.skip": lambda: pytest.skip("injected"),
    "os._exit": lambda: os._exit(0),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "disk full once": _full_once,
    "disk full": _full_from_now,
}
"""What happens to a run."""


class Injector:
    """Notes every event of a run, and lets something happen at one of them."""

    def __init__(self, at: int, way: str) -> None:
        self._at, self._way, self._count = at, way, 0
        self._seen = os.open(SEEN, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def pytest_normcheck_event(self, event: Any) -> None:
        if isinstance(event, (ClaimBound, CheckDone)):
            os.write(self._seen, f"{event.kind} {event.target} {event.outcome.check}\n".encode())
        self._count += 1
        if self._count == self._at:
            WAYS[self._way]()


def forked(folder: Path, arguments: list[str], injector: Any = None) -> int:
    """The exit status of pytest in a process of its own; negative for a signal."""
    child = os.fork()
    if not child:
        status = 70
        try:
            os.chdir(folder)
            out = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            status = int(pytest.main(arguments, plugins=[] if injector is None else [injector()]))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def arguments(*more: str) -> list[str]:
    named = [word for claim in CLAIMS for word in ("--norm", claim)]
    return [*OPTIONS, *named, *OUTPUTS, *more]


@dataclass(frozen=True)
class Left:
    """What a run has left: its exit status, what its event hook saw, and its files."""

    folder: Path
    status: int

    @property
    def seen(self) -> set[tuple[str, ...]]:
        return {tuple(line.split(" ")) for line in (self.folder / SEEN).read_text().splitlines()}

    @property
    def document(self) -> dict[str, Any] | None:
        text = (self.folder / "out.json").read_text()
        return None if text == OLD else json.loads(text)

    @property
    def journal(self) -> journal.Journal | None:
        path = self.folder / f"out.json{JOURNAL_SUFFIX}"
        return journal.read(path) if path.exists() else None


def faults_of(left: Left, questions: set[tuple[str, ...]], way: str) -> Iterator[str]:
    """What is wrong with what a run has left."""
    if left.document is None and left.journal is None:
        yield "nothing is left"
        return
    said = left.document or left.journal.document()
    counted = sum(sum(one["checks"].values()) for one in said["implementations"])
    whole = said["complete"] and counted == len(questions)
    if not whole and way != "disk full":
        yield from lost_answers(left, counted)
    yield from false_claims(left, said, questions, whole)
    if way == "disk full" and (left.status != 4 or left.document is not None):
        yield f"a full disk: status {left.status}"


def lost_answers(left: Left, counted: int) -> Iterator[str]:
    """Answers that the event hook saw, and that are not in the journal. counted: those in the document."""
    kept = {*left.journal.answered(), *left.journal.coverage().unanswered} if left.journal else set()
    if left.seen - kept:
        yield f"lost: {sorted(left.seen - kept)}"
    if len(left.seen) > counted:
        yield f"{len(left.seen)} answers were seen, and {counted} are in the document"


def false_claims(left: Left, said: dict[str, Any], questions: set[tuple[str, ...]], whole: bool) -> Iterator[str]:
    """Where a run claims more than it has. whole: whether all questions are answered."""
    for one in said["implementations"]:
        asked = {check for kind, target, check in questions if (kind, target) == (one["kind"], one["target"])}
        if one["verdict"] == "passed" and (sum(one["checks"].values()) != len(asked) or one["missing"]):
            yield f"{one['target']} passed with {one['checks']}"
    if said["complete"] and not whole:
        yield "it is said to be complete"
    if left.status == 0 and not whole:
        yield "status 0"
    badge = left.folder / "badge.json"
    if badge.exists() and not whole and "passed" in badge.read_text():
        yield "the badge says passed"


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what differs between two runs."""
    out = {**document, "environment": {}}
    out["implementations"] = [{**one, "seconds": 0} for one in document["implementations"]]
    return out


@dataclass(frozen=True)
class Undisturbed:
    """A run to which nothing happens."""

    document: dict[str, Any]
    questions: set[tuple[str, ...]]
    events: int


def undisturbed(folder: Path) -> Undisturbed:
    (folder / "out.json").write_text(OLD)
    status = forked(folder, arguments(), lambda: Injector(0, ""))
    left = Left(folder, status)
    assert status == 0, (folder / "log.txt").read_text()[-3000:]
    assert left.document is not None
    assert left.document["complete"]
    assert left.journal is None
    answers = len((folder / SEEN).read_text().splitlines())
    return Undisturbed(left.document, left.seen, 2 * answers - len(CLAIMS) + len(CLAIMS))


def injections(events: int, count: int, first: int) -> Iterator[tuple[int, str]]:
    """Pairs of an event and a way: all of them, or some at equal distances, in which every way occurs."""
    pairs = [(at, way) for at in range(first, events + 1) for way in WAYS]
    step = len(pairs) / min(count, len(pairs))
    ways = list(WAYS)
    for i in range(min(count, len(pairs))):
        yield pairs[int(i * step)][0], ways[i % len(ways)]


def main() -> int:
    parser = argparse.ArgumentParser(description="kill runs at their events")
    parser.add_argument("--injections", type=int, default=200)
    parser.add_argument("--last", action="store_true", help="only at the last two events, in every way")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sys.dont_write_bytecode = False  # else every run would compile the suite anew
    started, wrong, resumed = time.monotonic(), [], 0
    by_way: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        calm = undisturbed(_new(place, "calm"))
        for i, (at, way) in enumerate(injections(calm.events, given.injections, calm.events - 1 if given.last else 1)):
            folder = _new(place, str(i))
            (folder / "out.json").write_text(OLD)
            left = Left(folder, forked(folder, arguments(), lambda at=at, way=way: Injector(at, way)))
            by_way[way] += 1
            found = list(faults_of(left, calm.questions, way))
            if i % 4 == 0 and left.journal is not None:
                resumed += 1
                found += _resumed(folder, calm)
            wrong += [f"{way} at event {at} of {calm.events}: {one}" for one in found]
    print(*wrong, sep="\n")
    print(
        f"{by_way.total()} injections at {calm.events} events: " + ", ".join(f"{n} {way}" for way, n in by_way.items())
    )
    print(f"{resumed} resumed; {len(wrong)} faults; {time.monotonic() - started:.0f} s")
    return int(bool(wrong))


def _new(place: str, name: str) -> Path:
    folder = Path(place) / name
    folder.mkdir()
    return folder


def _resumed(folder: Path, calm: Undisturbed) -> Iterator[str]:
    """What is wrong with a run that goes on."""
    status = forked(folder, arguments("--norm-resume", "out.json"))
    left = Left(folder, status)
    if left.document is None or plain(left.document) != plain(calm.document):
        yield f"resumed, it has another document (status {status})"
    elif status != 0:
        yield f"resumed, it has status {status}"
    elif left.journal is not None:
        yield "resumed, it leaves its journal"


if __name__ == "__main__":
    sys.exit(main())
