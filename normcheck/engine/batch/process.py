"""The process of one task: forked from this one, supervised, limited in time and memory, read line by line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from normcheck.core.limits import Limits
from normcheck.frameworks.isolation import replies, wire
from normcheck.frameworks.isolation.endings import ending
from normcheck.frameworks.isolation.process import confine
from normcheck.frameworks.isolation.supervisor import ENDING, GRACE, fork_worker

LARGEST = 1 << 26
"""Most bytes that a process may send."""

MOST_FILES = 4096
"""File descriptors that are closed in the process of a task: none of its parent is open in it."""

CLOSING = GRACE + 1.0
"""Seconds in which a process ends that has closed its connection."""

ENDS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the process that forks, and reach none of its copies."""

Send = Callable[[dict[str, Any]], None]


class Process:
    """A forked process that runs a function, which sends records; `ended` tells when it has, and `failure` how."""

    def __init__(self, work: Callable[[Send], None], limits: Limits, others: Iterable[Process]) -> None:
        """Fork. others: the processes that run already, whose connections are closed in this one."""
        handle, self._output = tempfile.mkstemp(prefix="normcheck-")
        os.close(handle)
        self.connection, worker = socket.socketpair()
        self.control, supervisor = socket.socketpair()
        self.limits, self.started = limits, time.monotonic()
        self.records: list[dict[str, Any]] = []
        self.failure = ""  # why it did not reach its end
        self._pending, self._size = b"", 0
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # an interrupt must not reach code between the forks
        self._supervisor = os.fork()
        if self._supervisor == 0:
            with _last_block():
                for one in (self, *others):
                    one.connection.close()
                    one.control.close()
                for number in ENDS:
                    signal.signal(number, signal.SIG_DFL)
                fork_worker(supervisor, worker)
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                confine(limits, self._output)
                os.closerange(3, worker.fileno())  # among them the file of answers
                os.closerange(worker.fileno() + 1, MOST_FILES)
                work(lambda record: worker.sendall(json.dumps(record).encode() + b"\n"))
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        worker.close()
        supervisor.close()

    @property
    def elapsed(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def read(self) -> bool:
        """Take what has been sent. Returns whether more may come."""
        with contextlib.suppress(OSError):
            data = self.connection.recv(1 << 20)
            self._size += len(data)
            *lines, self._pending = (self._pending + data).split(b"\n")
            if self._size > LARGEST:
                self.failure = f"it sends more than {LARGEST} bytes"
                return False
            return self._take(lines) and bool(data)
        return False

    def _take(self, lines: Iterable[bytes]) -> bool:
        try:
            for line in lines:
                self.records.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            self.failure = "it sends what is no result"
            return False
        return True

    def end(self, failure: str = "") -> None:
        """End it with everything that it has started. failure: why, if it has not ended by itself."""
        self.failure = self.failure or failure
        self.connection.close()
        if not self.failure:
            self._report(CLOSING, "it closes the file descriptors of its process")
        if self.failure:
            with contextlib.suppress(OSError):
                self.control.shutdown(socket.SHUT_WR)
            self._report(2 * ENDING, self.failure)
        self.control.close()
        with contextlib.suppress(OSError):
            os.kill(self._supervisor, signal.SIGKILL)  # it has reported, and waits for nothing
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._supervisor, 0)
        Path(self._output).unlink(missing_ok=True)

    def _report(self, seconds: float, late: str) -> None:
        """Read how it ended. late: the failure if that is not known after so many seconds."""
        try:
            report = replies.ENDED(wire.decode(wire.receive(self.control, seconds)))
        except wire.TimedOut:
            self.failure = late
        except wire.WireError:
            self.failure = self.failure or "it ends the process that supervises it"
        else:
            if report["status"] != 0 and not self.failure:
                self.failure = ending(report["status"], self._output)


@contextlib.contextmanager
def _last_block() -> Iterator[None]:
    """In a forked process: end it when the block is left, in whatever way, so that no code of its parent goes on."""
    status = 1
    try:
        yield
        status = 0
    finally:
        os._exit(status)
