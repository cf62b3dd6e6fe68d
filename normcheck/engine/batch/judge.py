"""What the process of one task does: it makes the claim and sends each event of its run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from normcheck import families
from normcheck.core.errors import NormcheckError
from normcheck.core.events import record
from normcheck.core.foreign_code import first_line
from normcheck.core.target import split
from normcheck.engine import claims, run
from normcheck.engine.batch.side_by_side import DONE, RAISED
from normcheck.engine.batch.tasks import GENERATED, Task
from normcheck.engine.claims import Claim
from normcheck.engine.conditions import run_conditions
from normcheck.engine.settings import Settings
from normcheck.frameworks.load import load

ARGUMENTS = "get_init_inputs"
"""The function of KernelBench that returns the arguments of the constructor."""


def judge(task: Task, target: str, send: Callable[[dict[str, Any]], None]) -> None:
    """Send each event of the run of a task as a record, and at last how it ended. target: the task's, as text."""
    try:
        with closing(run.events([_claim(task, target)], Settings(task.effort))) as events:
            for event in events:
                send(record(event))
    except BaseException as error:  # code under test may raise anything, pytest.skip or SystemExit too
        send({RAISED: first_line(error)})
    else:
        send({DONE: True})


def _claim(task: Task, target: str) -> Claim:
    """The claim of a task; of a class with arguments of its own the first spelling that can be bound."""
    made = [_of_target(task, target)]
    if split(target)[1] == GENERATED and not _binds(made[0]):
        made += [_of_target(task, one) for one in _with_arguments(target)]
        return next((one for one in made[1:] if _binds(one)), made[0])
    return made[0]


def _of_target(task: Task, target: str) -> Claim:
    return claims.claim((task.kind, target) if task.kind else target, task.contract)


def _binds(claim: Claim) -> bool:
    try:
        with run_conditions():
            return claim.implementation is not None and bool(families.bind(claim.implementation))
    except NormcheckError:
        return False


def _with_arguments(target: str) -> Iterator[str]:
    """The target with the arguments that its file gives for the constructor, where these are literals."""
    place, attribute, call = split(target)
    if call or not Path(place).suffix:
        return
    try:
        found = load(f"{place}:{ARGUMENTS}")()
        words = ", ".join(map(repr, found))
        ast.literal_eval(f"[{words}]")
    except Exception:
        return
    yield f"{place}:{attribute}({words})"
