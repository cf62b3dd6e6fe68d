"""Functions run side by side, each in a process of its own, forked from this one with all that it has imported."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from typing import TypeVar

from normcheck.core.limits import Limits
from normcheck.engine.batch.process import Process, Send

Key = TypeVar("Key")
Work = Callable[[Send], None]
"""What a process does: it sends records, and at last one with `DONE` or `RAISED`."""

DONE, RAISED = "done", "raised"
"""Keys of the last record of a work: it has reached its end, or an exception has ended it, as text."""


def side_by_side(
    works: Iterable[tuple[Key, Work]], limits: Limits, jobs: int
) -> Generator[tuple[Key, Process], None, None]:
    """Each key with the ended process of its work, in the order in which they end.

    limits: of each work; `total` is the time for all of it. Works are taken from the iterable when there is room for
    them. Closing the iterator ends what is running.
    """
    waiting, left = iter(works), True
    running: dict[Process, Key] = {}
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        stack.callback(_end, running)
        while left or running:
            while left and len(running) < jobs:
                following = next(waiting, None)
                if following is None:
                    left = False
                    break
                process = Process(following[1], limits, running)
                running[process] = following[0]
                selector.register(process.connection, selectors.EVENT_READ, process)
            if not running:
                return
            patience = min(limits.total - one.elapsed for one in running)
            ready = {key.data for key, _ in selector.select(max(patience, 0.01))}
            for process in list(running):
                more = process.read() if process in ready else True
                if more and process.elapsed < limits.total:
                    continue
                selector.unregister(process.connection)
                process.end(f"no verdict within {limits.total:g} s" if more else "")
                yield running.pop(process), process


def _end(running: Iterable[Process]) -> None:
    for process in running:
        process.end("it was interrupted")


def unfinished(process: Process) -> str:
    """Why the work of an ended process did not reach its end; empty if it did."""
    last = process.records[-1] if process.records else {}
    if DONE in last:
        return ""
    if RAISED in last:
        return f"the code under test raised {last[RAISED]}, which is no result"
    return process.failure or "it ends its process with status 0"
