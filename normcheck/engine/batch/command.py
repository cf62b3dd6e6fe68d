"""The batch as a command: where tasks come from, where answers go, and what is not asked again."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from normcheck import families
from normcheck.core.atomic_write import try_write
from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits
from normcheck.engine.batch import answers
from normcheck.engine.batch.answers import Answer
from normcheck.engine.batch.batch import judged
from normcheck.engine.batch.tasks import tasks
from normcheck.engine.claims import conventions
from normcheck.engine.settings import Settings, isolation_limits

SOURCES = ".sources"
"""Appended to the name of a file of answers: the folder of code that tasks give as text, for replays."""


@dataclass(frozen=True, slots=True)
class Command:
    """The options of `normcheck check`."""

    many: Path
    out: Path | None = None  # None: stdout
    jobs: int = 0  # 0: one for each core
    kind: str = ""
    contract: tuple[str, ...] = ()
    effort: str = "default"
    limits: Limits = field(default_factory=Limits)

    def run(self, tell: Callable[[str], object]) -> tuple[list[Answer], bool]:
        """All answers, those of earlier runs too, and whether it was interrupted; tells a summary at the end.

        Raises `UsageError` for options that are wrong and for files that cannot be read or written.
        """
        if not hasattr(os, "fork"):
            raise UsageError("check --many needs a system with fork; this one has none")
        if self.jobs < 0:
            raise UsageError("--jobs is a number from 1 on")
        if self.kind:
            families.get(self.kind)
        Settings(self.effort)
        isolation_limits(*(str(one) for one in (self.limits.seconds, self.limits.gigabytes, self.limits.total)))
        asked = tasks(self.many, kind=self.kind, contract=conventions(self.contract), effort=self.effort)
        before = answers.answered(self.out) if self.out is not None else {}
        left = [task for task in asked if (task.id, task.digest) not in before]
        found = [before[task.id, task.digest] for task in asked if (task.id, task.digest) in before]
        kept, started, interrupted = len(found), time.monotonic(), False
        jobs = self.jobs or len(os.sched_getaffinity(0))
        with _opened(self.out) as file, _sources(self.out) as folder, terminated():
            try:
                with closing(judged(left, self.limits, jobs, folder)) as stream:
                    for answer in stream if left else ():
                        file.write(answers.line(answer))
                        file.flush()
                        found.append(answer)
            except KeyboardInterrupt:
                interrupted = True
        missing = len(asked) - len(found)
        with suppress(KeyboardInterrupt):
            tell(answers.summary(found, kept, time.monotonic() - started, jobs, missing))
        return found, interrupted


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """The file that answers are appended to, or stdout."""
    if path is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    try:
        try_write(path)
        file = path.open("ab")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    with file:
        yield file


@contextmanager
def _sources(path: Path | None) -> Iterator[Path]:
    """A folder for code that is given as text: beside the answers, or one that is removed at the end."""
    if path is not None:
        yield path.with_name(path.name + SOURCES)
        return
    folder = Path(tempfile.mkdtemp(prefix="normcheck-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def terminated() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
