"""The process between the judge and a worker: it starts the worker, and ends it with everything that it has started.

No foreign code runs in it. It ends the worker when the judge closes the connection or dies, adopts what the worker
leaves behind, and reports how the worker ended. A worker that kills its parent kills its own supervisor only, with
which the kernel ends the worker too: the fork server and the workers of other implementations go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time

from normcheck.core.limits import Limits
from normcheck.frameworks.isolation import confinement, wire
from normcheck.frameworks.isolation.process import serve

GRACE = 1.0
"""Seconds in which helpers of a worker may end by themselves after it, as those of a compiler do."""

ENDING = 10.0
"""Seconds in which everything that a worker has left must be ended."""


def supervise(control: socket.socket, connection: socket.socket, limits: Limits, output: str) -> None:
    """Run a worker that handles requests. Returns in the worker, at its end, and never in the supervisor."""
    fork_worker(control, connection)
    serve(connection, limits, output)


def fork_worker(control: socket.socket, connection: socket.socket) -> None:
    """Become the supervisor of a new process, the worker, in which this returns.

    The supervisor waits until the worker ends, or until `control` is closed; then it reports the exit status of the
    worker and what that left, and ends.
    """
    os.setsid()  # no interrupt of the terminal
    confinement.adopt_orphans()
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        control.close()
        confinement.end_with(supervisor)
        return
    connection.close()
    status, wanted = _wait(worker, control)
    left = _end_descendants(0.0 if wanted else GRACE)
    with contextlib.suppress(wire.WireError):
        wire.send(control, wire.encode({"status": status, "left": left}))
    os._exit(0)


def _wait(worker: int, control: socket.socket) -> tuple[int, bool]:
    """The exit status of the worker, negative for a signal, and whether it was ended because the judge wanted it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    wanted = False
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == worker:
            return os.waitstatus_to_exitcode(status), wanted
        if pid != 0:
            continue
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        if control.fileno() in ready:  # the judge never writes: it has closed the connection
            wanted = True
            os.kill(worker, signal.SIGKILL)
            _, status = os.waitpid(worker, 0)
            return os.waitstatus_to_exitcode(status), wanted


def _end_descendants(grace: float) -> int:
    """End all processes that the worker has left. Returns how many there were after `grace` seconds."""
    started = time.monotonic()
    ended: set[int] = set()
    while time.monotonic() - started < grace + ENDING:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid != 0:
            continue
        if time.monotonic() - started >= grace:
            for child in confinement.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                ended.add(child)
        time.sleep(0.005)
    return len(ended)
