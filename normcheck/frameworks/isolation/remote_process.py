"""A child process with one implementation, as the parent sees it: started when needed, asked, and given up if lost."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from normcheck.core import uses
from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.limits import Limits
from normcheck.frameworks.isolation import replies, wire
from normcheck.frameworks.isolation.worker import Worker
from normcheck.normalizers.case import Case

COMPILING = 10.0
"""Factor on the time limit for requests that compile the implementation."""

BINDING = 3.0
"""Factor on the time limit for all calls of binding together, which find out what an implementation accepts."""

MOST_LOSSES = 3
"""Number of child processes that an implementation may lose before it is given up."""


class RemoteProcess:
    """An implementation in a child process, which is restarted if it was lost."""

    def __init__(
        self, claim: Implementation, limits: Limits, first: Sequence[tuple[Any, ...]], offered: replies.Form
    ) -> None:
        """Start nothing yet. first: the requests that load and bind it. offered: the form of the last one's reply."""
        self._claim, self._limits = claim, limits
        self._first, self._offered = first, offered
        self._worker: Worker | None = None
        self._lost, self._losses, self._spent = "", 0, 0.0  # spent: seconds in which it was waited for
        self._offers: Any = None
        self._deadline, self._last_failure = math.inf, ""  # while binding: deadline, last exception

    def renew(self) -> None:
        """Allow a restart of a lost process, at most a few times; called before each check."""
        if self._lost and self._losses < MOST_LOSSES:
            self._lost = ""

    def end(self) -> None:
        """Ask the process to end. Raises `LostError` if it does not."""
        if self._worker is not None:
            with self._watched("when it ends"):
                self._worker.end()
            self._worker = None

    def close(self) -> None:
        """Kill the process."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    @contextlib.contextmanager
    def _watched(self, activity: str) -> Iterator[None]:
        """Record the loss of the process, which is then not restarted before the next check. Raises `LostError`."""
        try:
            yield
        except LostError as error:
            self._losses += 1
            self._lost = f"{self._claim.name}: {error} ({activity})"
            if self._losses >= MOST_LOSSES:
                self._lost += f"; it is not called again, after {MOST_LOSSES} lost processes"
            self.close()
            raise LostError(self._lost) from None

    def load(self) -> Any:
        """Start a process and load the implementation if needed. Returns what it supports, in the form `offered`.

        Raises `UsageError` if it cannot be loaded, and `LostError` if the process is lost.
        """
        if self._lost:
            raise LostError(self._lost)
        if self._worker is None:
            with self._watched("when it is imported and bound" if self._first[1:] else "when it is imported"):
                self._worker = Worker(self._limits)
                for request in self._first:
                    found = self._result(self._worker, request, BINDING if request[0] == "bind" else 1.0)
                self._offers = self._read(found, self._offered)
        return self._offers

    def request(self, name: str, *arguments: Any, read: replies.Form, label: str = "") -> Any:
        """The result of a request. Raises `UsageError` or `CallError` as the implementation did, or `LostError`.

        read: the form that the result must have. label: what is said of the request if the process is lost.
        """
        self.load()
        assert self._worker is not None, "load() starts a process or raises"
        case = next((value for value in arguments if isinstance(value, Case)), None)
        if time.monotonic() > self._deadline:
            with self._watched("at its first calls"):
                raise LostError(f"it takes more than {BINDING * self._limits.seconds:g} s{self._last_failure}")
        slow = case is not None and case.use in uses.SLOW
        shape = "" if case is None else "x".join(map(str, case.x.shape))
        with self._watched(label or name if case is None else f"a {shape} {case.format.name} input"):
            return self._read(self._result(self._worker, (name, *arguments), COMPILING if slow else 1.0), read)

    def _result(self, worker: Worker, request: tuple[Any, ...], factor: float) -> Any:
        """The result that the process sends. factor: on the time limit of one request."""
        left = self._limits.total - self._spent
        started = time.monotonic()
        try:
            record = worker.request(request, min(self._limits.seconds * factor, max(left, 0.0)))
        except LostError:
            if time.monotonic() - started >= left:
                self._losses = MOST_LOSSES
                raise LostError(f"it takes more than {self._limits.total:g} s in all") from None
            raise
        finally:
            self._spent += time.monotonic() - started
        kind, content = self._read(record, replies.outcome)
        if kind == "usage":
            raise UsageError(content["usage"])
        if kind == "call":
            self._last_failure = f", and {content['reason']}"
            raise CallError(content["call"], content["reason"])
        return content

    @staticmethod
    def _read(value: Any, form: replies.Form) -> Any:
        """A value of a form. Raises `LostError` for any other."""
        try:
            return form(value)
        except wire.WireError as error:
            raise LostError(str(error)) from None
