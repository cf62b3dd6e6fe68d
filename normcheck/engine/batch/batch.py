"""Tasks judged side by side, each in a process of its own, forked from this one with all that it has imported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial, wraps
from pathlib import Path
from typing import Any

from normcheck import families
from normcheck.core.limits import Limits
from normcheck.engine import claims, run
from normcheck.engine.batch import answers
from normcheck.engine.batch.answers import Answer
from normcheck.engine.batch.judge import judge
from normcheck.engine.batch.side_by_side import Work, side_by_side, unfinished
from normcheck.engine.batch.tasks import Task, name_in
from normcheck.engine.conditions import old_objects_set_aside, run_conditions
from normcheck.engine.settings import Settings
from normcheck.frameworks.isolation import warm
from normcheck.frameworks.load import load

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
    """Check torch's own function of each kind and effort that is frequent, for what stays of it in this process.

    And the same function with an output that is wrong: the answers of faults, to which those of code are compared, do
    not depend on the code either.
    """
    counts = Counter((task.kind, task.effort) for task in tasks if not task.problem and task.kind)
    for (kind, effort), count in counts.items():
        entry = families.get(kind)
        target = families.of(entry).counterpart(entry)
        if target and count >= WORTH:
            for one in (target, _with_wrong_output(load(target))):
                for _ in run.events([claims.claim((kind, one), {})], Settings(effort)):
                    pass


def _with_wrong_output(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with an output that no fault explains."""

    @wraps(function)
    def wrong(*args: Any, **options: Any) -> Any:
        output = function(*args, **options)
        return 1.37 * output + 0.21 * output**2

    return wrong


def _judged(tasks: Sequence[Task], limits: Limits, jobs: int, folder: Path) -> Generator[Answer, None, None]:
    yield from (answers.problem(task) for task in tasks if task.problem)
    with closing(side_by_side(_works(tasks, folder), limits, jobs)) as ended:
        for (task, target), process in ended:
            yield answers.answer(task, target, process.records, unfinished(process), process.elapsed)


def _works(tasks: Iterable[Task], folder: Path) -> Iterator[tuple[tuple[Task, str], Work]]:
    for task in tasks:
        if not task.problem:
            target = task.target or _written(task, folder)
            yield (task, target), partial(judge, task, target)


def _written(task: Task, folder: Path) -> str:
    """Write the code of a task to a file. Returns the target that it then is."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", str(task.id))[:60]
    path = folder / f"{name}_{task.digest}.py"
    path.write_text(task.source, encoding="utf-8")
    return f"{path}:{name_in(task.source)}"
