"""Tasks judged side by side, each in a process of its own, forked from this one with all that it has imported."""

from __future__ import annotations

import re
import selectors
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from normcheck import families
from normcheck.core.limits import Limits
from normcheck.engine import claims, run
from normcheck.engine.batch import answers
from normcheck.engine.batch.answers import Answer
from normcheck.engine.batch.judge import DONE, RAISED, judge
from normcheck.engine.batch.process import Process
from normcheck.engine.batch.tasks import Task, name_in
from normcheck.engine.conditions import old_objects_set_aside, run_conditions
from normcheck.engine.settings import Settings
from normcheck.frameworks.isolation import warm

WORTH = 6
"""Tasks of one kind and effort from which on torch's own function is checked first, in the process that forks: what
that imports, and the references of its cases, need not be made again by each."""


def judged(tasks: Sequence[Task], limits: Limits, jobs: int, folder: Path) -> Generator[Answer, None, None]:
    """The answer to each task, in the order in which they are found. Closing the iterator ends what is running.

    limits: of each task; `total` is the time for all of it. folder: where code that is given as text is written.

    The process that forks has one thread in its frameworks throughout: after a parallel region, OpenMP does not run in
    a copy.
    """
    with run_conditions():
        if warm.up():
            _ask_torch(tasks)
        with old_objects_set_aside():
            yield from _judged(tasks, limits, jobs, folder)


def _ask_torch(tasks: Sequence[Task]) -> None:
    """Check torch's own function of each kind and effort that is frequent, for what stays of it in this process."""
    counts = Counter((task.kind, task.effort) for task in tasks if not task.problem and task.kind)
    for (kind, effort), count in counts.items():
        entry = families.get(kind)
        target = families.of(entry).counterpart(entry)
        if target and count >= WORTH:
            for _ in run.events([claims.claim((kind, target), {})], Settings(effort)):
                pass


def _judged(tasks: Sequence[Task], limits: Limits, jobs: int, folder: Path) -> Generator[Answer, None, None]:
    waiting = list(reversed(tasks))
    running: dict[Process, tuple[Task, str]] = {}
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        stack.callback(_end, running)
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop()
                if task.problem:
                    yield answers.problem(task)
                    continue
                target = task.target or _written(task, folder)
                process = Process(partial(judge, task, target), limits, running)
                running[process] = task, target
                selector.register(process.connection, selectors.EVENT_READ, process)
            patience = min((limits.total - one.elapsed for one in running), default=0.0)
            ready = {key.data for key, _ in selector.select(max(patience, 0.01))}
            for process in list(running):
                more = process.read() if process in ready else True
                if more and process.elapsed < limits.total:
                    continue
                selector.unregister(process.connection)
                process.end(f"no verdict within {limits.total:g} s" if more else "")
                yield _answer(process, *running.pop(process))


def _end(running: Iterable[Process]) -> None:
    for process in running:
        process.end("it was interrupted")


def _written(task: Task, folder: Path) -> str:
    """Write the code of a task to a file. Returns the target that it then is."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", str(task.id))[:60]
    path = folder / f"{name}_{task.digest}.py"
    path.write_text(task.source, encoding="utf-8")
    return f"{path}:{name_in(task.source)}"


def _answer(process: Process, task: Task, target: str) -> Answer:
    last = process.records[-1] if process.records else {}
    failure = process.failure or "it ends its process with status 0"
    if DONE in last:
        failure = ""
    elif RAISED in last:
        failure = f"the code under test raised {last[RAISED]}, which is no result"
    return answers.answer(task, target, process.records, failure, process.elapsed)
