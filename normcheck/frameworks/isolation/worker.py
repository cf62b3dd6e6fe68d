"""A child process for one implementation, used by the parent: start, requests with a time limit, end, diagnosis."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tempfile
import weakref
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from normcheck.core.errors import LostError, UsageError
from normcheck.core.limits import Limits
from normcheck.frameworks.isolation import replies, wire
from normcheck.frameworks.isolation.endings import ending
from normcheck.frameworks.isolation.supervisor import ENDING, supervise

PRELOADED = [
    "normcheck.frameworks.isolation.supervisor",
    "normcheck.frameworks.torch.framework",
    "normcheck.families",
    "pytest",
]
"""Modules that the fork server imports once; each child process is a fork of it, made in milliseconds."""

STARTING = 120.0
"""Time limit in seconds for the start of a process: on a busy machine the server may still be importing torch."""


def can_isolate() -> bool:
    """Whether this system can give an implementation a process of its own."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def _context() -> ForkServerContext:
    if not can_isolate():
        raise UsageError("--norm-isolate, and kinds of several processes, need a system with fork; this one has none")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide the main module from multiprocessing, which would run the script of this process again in the child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _kill(process: ForkServerProcess, control: socket.socket, connection: socket.socket, output: str) -> None:
    """End a process and all that it started: the supervisor does it when `control` is closed for writing."""
    connection.close()
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_WR)
    with contextlib.suppress(wire.WireError):
        wire.receive(control, 2 * ENDING)
    control.close()
    process.join(1.0)
    if process.pid is not None and process.exitcode is None:
        with contextlib.suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)
    Path(output).unlink(missing_ok=True)


def prepare() -> None:
    """Start the fork server, which imports the frameworks while this process goes on. Raises `UsageError`."""
    _context()
    with _hidden_main():
        forkserver.ensure_running()


class Worker:
    """One child process, from its start to its end."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        handle, self._output = tempfile.mkstemp(prefix="normcheck-")
        os.close(handle)
        self._connection, other = socket.socketpair()
        self._control, supervisor = socket.socketpair()
        process = _context().Process(target=supervise, args=(supervisor, other, limits, self._output))
        with _hidden_main():
            process.start()
        other.close()
        supervisor.close()
        self.kill = weakref.finalize(self, _kill, process, self._control, self._connection, self._output)
        with self._errors_explained(STARTING):
            replies.READY(wire.decode(wire.receive(self._connection, STARTING)))

    def request(self, request: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        """The reply to a request. Raises `LostError` if there is none in time, or if the process was tampered with."""
        self.send(request, seconds)
        return self.reply(seconds)

    def send(self, request: tuple[Any, ...], seconds: float) -> None:
        """Send a request, whose reply is read later. Raises `LostError` if the process does not read it in time."""
        with self._errors_explained(seconds):
            self._connection.settimeout(seconds)
            wire.send(self._connection, pickle.dumps(request))

    def fileno(self) -> int:
        """The file descriptor that becomes readable when the process replies or ends, for `select`."""
        return self._connection.fileno()

    def reply(self, seconds: float) -> dict[str, Any]:
        """The reply to the request that was sent. Raises `LostError` as `request` does."""
        with self._errors_explained(seconds):
            record = wire.decode(wire.receive(self._connection, seconds))
            changes = replies.CHANGES(record.pop("changes", []))
        if changes:
            raise LostError("; ".join(changes[:4]))
        return record

    @contextlib.contextmanager
    def _errors_explained(self, seconds: float) -> Iterator[None]:
        """Turn an error of the connection into a `LostError` that says what happened to the process."""
        try:
            yield
        except wire.Disconnected:
            raise LostError(self._exit_cause()) from None
        except wire.TimedOut:
            raise LostError(f"it does not respond within {seconds:g} s") from None
        except wire.WireError as error:
            raise LostError(str(error)) from None

    def end(self) -> None:
        """Ask the process to end. Raises `LostError` if it does not, if its status is not 0, or if it leaves others."""
        seconds = self._limits.seconds
        with self._errors_explained(seconds):
            threads = ", ".join(replies.END(self.request(("end",), seconds))["threads"])
        report = self._report(seconds)
        if report is None:
            running = f", threads still running: {threads}" if threads else ""
            raise LostError(f"its process does not end within {seconds:g} s{running}")
        if report["status"] != 0:
            raise LostError(ending(report["status"], self._output))
        if report["left"]:
            raise LostError(f"processes that it leaves behind: {report['left']}")
        self.kill()

    def _report(self, seconds: float) -> dict[str, Any] | None:
        """What the supervisor reports of the end of the process: "status" and "left"; None if it has not ended."""
        try:
            made: dict[str, Any] = replies.ENDED(wire.decode(wire.receive(self._control, seconds)))
        except wire.TimedOut:
            return None
        except wire.WireError:
            raise LostError("it ends the process that supervises it") from None
        return made

    def _exit_cause(self) -> str:
        """How the process ended, as one clause."""
        report = self._report(5.0)
        if report is None:
            return "it closes the file descriptors of its process"
        return ending(report["status"], self._output)
