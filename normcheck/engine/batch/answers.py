"""The answers of a batch: a JSON line for each task, in the order in which they were found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.events import ClaimBound, Event, event, outcomes_of
from normcheck.core.result import ERROR, Outcome
from normcheck.core.safe_text import safe, safe_record
from normcheck.core.version import __version__
from normcheck.engine.asker import CALL
from normcheck.engine.batch.tasks import Task
from normcheck.engine.verdict import implementation, run

OWN = ("id", "question", "normcheck", "effort", "usage", "elapsed")
"""The keys of an answer beside those of the record of an implementation, as `schema.json` describes it.

question: the digest of the task. usage: whether the target cannot be used. elapsed: seconds from start to end.
"""

Answer = dict[str, Any]


def answer(task: Task, target: str, records: Sequence[Mapping[str, Any]], failure: str, elapsed: float) -> Answer:
    """The answer to a task, from what its process sent. failure: why it did not reach its end; empty if it did."""
    usage = bool(task.problem)
    kind, found = task.kind, list[Outcome]()
    try:
        events = [event(one) for one in records if "event" in one]
        found = outcomes_of(events)
        usage = usage or any(isinstance(one, ClaimBound) and one.outcome.usage for one in events)
        kind, target = (events[0].kind or kind, events[0].target or target) if events else (kind, target)
        if failure:
            found.append(Outcome(kind, target, *_failed(events, failure)))
        made = implementation(kind, target, found)
    except (KeyError, TypeError, ValueError, AttributeError):  # the code under test may have written to the connection
        kind, target = task.kind, safe(target)
        made = implementation(kind, target, [Outcome(kind, target, CALL, ERROR, reason="it sends what is no result")])
    own = (task.id, task.digest, __version__, task.effort, usage, round(elapsed, 3))
    out: Answer = safe_record(dict(zip(OWN, own, strict=True)) | made)
    return out


def _failed(events: Sequence[Event], failure: str) -> tuple[Any, ...]:
    """Check, status, numbers and so on of the outcome of a task that did not reach its end: where it stopped."""
    begun = [one for one in events if not hasattr(one, "outcome") and hasattr(one, "check")]
    last = begun[-1].check if begun and events[-1] is begun[-1] else ""
    text = f"{failure}, in the check {last}" if last else failure
    return last or CALL, ERROR, 0, 0.0, {}, None, text


def problem(task: Task) -> Answer:
    """The answer to a line from which no task follows."""
    outcome = Outcome(task.kind, task.target, CALL, ERROR, reason=task.problem, usage=True)
    made = implementation(task.kind, task.target, [outcome])
    own = (task.id, task.digest, __version__, task.effort, True, 0.0)
    out: Answer = safe_record(dict(zip(OWN, own, strict=True)) | made)
    return out


def line(one: Answer) -> bytes:
    """An answer as a line."""
    return json.dumps(one).encode() + b"\n"


def answered(path: Path) -> dict[tuple[Any, str], Answer]:
    """The answers of a file, by id and question; a last line that was not written whole is cut off the file.

    Raises `UsageError` for a file that is none of answers.
    """
    found = lines(path, whole_lines(path))
    return {(one["id"], one["question"]): one for one in found if one["normcheck"] == __version__}


def whole_lines(path: Path) -> bytes:
    """The lines of a file that may not exist; a last line that was not written whole is cut off the file.

    Raises `UsageError` for a file that cannot be read.
    """
    if not path.exists():
        return b""
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with path.open("r+b") as file:
                file.truncate(whole)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return data[:whole]


def lines(path: Path, data: bytes) -> list[Answer]:
    """The answers that a file holds. Raises `UsageError` for a line that is none."""
    try:
        found = [json.loads(one) for one in data.splitlines() if one.strip()]
        if all(isinstance(one["verdict"], str) and all(key in one for key in OWN) for one in found):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UsageError(f"{path} has a line that is no answer of `normcheck check --many`: name another file") from None


def are_in(path: Path) -> bool:
    """Whether a file begins with an answer."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and all(key in first for key in OWN)


def document(path: Path) -> dict[str, Any]:
    """The JSON document of a file of answers, or of several that were joined; of one id the last counts.

    Raises `UsageError` for a file that is none of answers, or is of another version.
    """
    data = path.read_bytes()
    found = {(one["id"], one["target"]): one for one in lines(path, data[: data.rfind(b"\n") + 1])}
    others = {one["normcheck"] for one in found.values()} - {__version__}
    if others:
        raise UsageError(f"{path} has answers of normcheck {others.pop()}, and this is {__version__}: ask again")
    efforts = {one["effort"] for one in found.values()}
    made = run(__version__, [], {"effort": efforts.pop()} if len(efforts) == 1 else {})
    made["implementations"] = [{key: one[key] for key in one if key not in OWN} for one in found.values()]
    return made


def summary(answers: Iterable[Answer], kept: int, seconds: float, jobs: int, missing: int) -> str:
    """One line: how many of each verdict, how many were answered before, how long it took."""
    counts: dict[str, int] = {}
    for one in answers:
        counts[one["verdict"]] = counts.get(one["verdict"], 0) + 1
    words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "none"
    before = f"; {kept} answered before" if kept else ""
    after = f"; {missing} without an answer: the same command goes on" if missing else ""
    return f"{sum(counts.values())} implementations: {words}{before}{after}; {seconds:.1f} s, {jobs} at a time"
