"""Several child processes that run one implementation together, each of which has a rank: one request to all of them.

Processes that call each other wait for each other. So what one of them does may show in others first: when it raises or
ends, others wait in vain, or see a closed connection. `WorkerGroup.request` finds the rank with which it began.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.limits import Limits
from normcheck.frameworks.isolation import replies, wire
from normcheck.frameworks.isolation.worker import Worker

SOON, GRACE = 0.1, 1.5
"""Seconds that other ranks have for their replies when one has raised by itself; when one is lost or waits in vain."""

WAITING = "waits for other ranks: "
"""How the reason of a `CallError` begins in a process that has waited in vain for others."""


class WorkerGroup:
    """k child processes, started together and ended together."""

    def __init__(self, count: int, limits: Limits) -> None:
        self._workers = [Worker(limits) for _ in range(count)]

    def close(self) -> None:
        """Kill all processes."""
        for worker in self._workers:
            worker.kill()

    def request(self, requests: Sequence[tuple[Any, ...]], seconds: float, form: replies.Form) -> list[Any]:
        """The result of each rank's request, in the form that it must have.

        Raises `UsageError` or `CallError` as a rank did, and `LostError` if a rank has ended, does not respond, or
        leaves out a call that others make; the text names the rank. After an error the group must be closed.
        """
        found: dict[int, Any] = {}
        lost: dict[int, str] = {}
        deadline = time.monotonic() + seconds
        for rank, (worker, request) in enumerate(zip(self._workers, requests, strict=True)):
            _read(lost, rank, partial(worker.send, request, seconds))
        while len(found) + len(lost) < len(self._workers):
            asked = {worker: rank for rank, worker in enumerate(self._workers) if rank not in {*found, *lost}}
            ready, _, _ = select.select(list(asked), [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for worker in ready:
                rank = asked[worker]
                record = _read(lost, rank, partial(_outcome, worker, seconds))
                if record is not None:
                    found[rank] = record
                if record is None or record[0] != "result":
                    grace = GRACE if record is None or _waits(record[1]) else SOON
                    deadline = min(deadline, time.monotonic() + grace)
        _raise_first(range(len(self._workers)), found, lost, seconds)
        return [_formed(rank, found[rank][1], form) for rank in range(len(self._workers))]


def _outcome(worker: Worker, seconds: float) -> tuple[str, Any]:
    return replies.outcome(worker.reply(seconds))


def _waits(content: Mapping[str, str]) -> bool:
    """Whether an error is that of a process which has waited in vain for others."""
    return content.get("reason", "").startswith(WAITING)


def _read(lost: dict[int, str], rank: int, read: Callable[[], Any]) -> Any:
    """What is read of a process; None, and the reason in `lost`, if it is lost."""
    try:
        return read()
    except (LostError, wire.WireError) as error:
        lost[rank] = str(error)
        return None


def _formed(rank: int, value: Any, form: replies.Form) -> Any:
    try:
        return form(value)
    except wire.WireError as error:
        raise LostError(f"rank {rank}: {error}") from None


def _raise_first(
    ranks: Sequence[int], found: Mapping[int, tuple[str, Any]], lost: Mapping[int, str], seconds: float
) -> None:
    """Raise the error with which it began, if there is one.

    First the rank whose process is lost, then one that raised by itself, then one that is silent while others wait for
    it, then those that wait for a call which the others have left out.
    """
    for rank, reason in lost.items():
        raise LostError(f"rank {rank}: {reason}")
    wrong = {rank: content for rank, (kind, content) in found.items() if kind != "result"}
    waiting = sorted(rank for rank, content in wrong.items() if _waits(content))
    for rank, content in wrong.items():
        if "usage" in content:
            raise UsageError(content["usage"])
        if rank not in waiting:
            alike = [other for other, one in wrong.items() if one.get("reason") == content["reason"]]
            where = "" if len(alike) == len(ranks) else f" on rank {rank}"
            raise CallError(content["call"] + where, content["reason"] + where)
    silent = [rank for rank in ranks if rank not in found]
    if silent:
        how = f", and {listed(waiting)} waits for it in vain" if waiting else f" within {seconds:g} s"
        raise LostError(f"{listed(silent)} does not respond{how}")
    if waiting:
        others = [rank for rank in ranks if rank not in waiting]
        left = f"that {listed(others)} does not make" if others else "that is not the same on all ranks"
        raise LostError(f"{listed(waiting)} waits in vain in a collective call {left}")


def listed(ranks: Sequence[int]) -> str:
    """Ranks as words.

    >>> listed([0, 2])
    'each of ranks 0, 2'
    """
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"each of ranks {', '.join(map(str, ranks))}"
