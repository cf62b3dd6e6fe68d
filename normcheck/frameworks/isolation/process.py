"""The child process of isolation: it loads one implementation and runs it on request, with limits on itself.

It receives inputs only: no reference, bound or expected value is ever sent to it.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import pickle
import resource
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import first_line, quiet
from normcheck.core.uses import COMPILED, EXPORTED
from normcheck.frameworks import binder, registry
from normcheck.frameworks.isolation import wire
from normcheck.frameworks.isolation.side_effects import SideEffects
from normcheck.normalizers.normalizer import Normalizer

SILENT = 97
"""Exit status of a child process that has lost its connection."""

OUTPUT = 1 << 26
"""Largest number of bytes that it may write to one file, including its captured output: 64 MiB."""

LIVES = 64
"""Largest number of layers that keep their state at a time; a check uses one or two."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request.

    seconds: wall-clock time, ten times as much if the request compiles the implementation. gigabytes: address space.
    """

    seconds: float = 30.0
    gigabytes: float = 4.0  # in addition to what the process uses once the frameworks are imported


def _confine(limits: Limits, output: str) -> None:
    """Start a session, redirect input and output, limit memory and file sizes, and enable the report of crashes."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(output, os.O_WRONLY | os.O_APPEND)
    for descriptor, source in ((0, null), (1, out), (2, out)):
        os.dup2(source, descriptor)
    os.close(null)
    os.close(out)
    faulthandler.enable(2)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    room = pages * resource.getpagesize() + int(limits.gigabytes * 2**30)
    for what, most in ((resource.RLIMIT_AS, room), (resource.RLIMIT_FSIZE, OUTPUT), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def serve(connection: socket.socket, limits: Limits, output: str) -> None:
    """Handle requests until the connection is closed or the request "end" arrives."""
    _confine(limits, output)
    traces = SideEffects((0, 1, 2, connection.fileno()))
    holder = _Holder()
    compiled = False
    _say(connection, {"ready": True})
    with quiet():
        while True:
            try:
                words = pickle.loads(wire.receive(connection))  # noqa: S301  # from the parent process, which is trusted
            except wire.Closed:
                os._exit(SILENT)
            if words[0] == "end":
                break
            with registry.settings():
                record = _answered(holder, words)
            if traces.forked:
                os._exit(0)  # a process forked by the implementation must not reply
            if words[0] == "hold":
                traces.loaded()
            compiled = compiled or any(getattr(word, "use", "") in (COMPILED, EXPORTED) for word in words)
            if not compiled:  # compilers start processes and patch modules themselves
                record["left"] = traces.left()
            _say(connection, record)
    _say(connection, {"threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()]})
    atexit._run_exitfuncs()  # noqa: SLF001  # multiprocessing does not run them in a forked process


def _say(connection: socket.socket, record: dict[str, Any]) -> None:
    try:
        wire.send(connection, wire.packed(record))
    except wire.WireError:
        os._exit(SILENT)


def _answered(holder: _Holder, words: tuple[Any, ...]) -> dict[str, Any]:
    """The record of a request's result; an exception becomes text in the record."""
    try:
        return {"result": REQUESTS[words[0]](holder, *words[1:])}
    except UsageError as error:
        return {"usage": str(error)}
    except CallError as error:
        return {"call": str(error), "reason": error.reason}
    except BaseException as error:  # the parent process reports it
        return {"call": f"its process raised {first_line(error)}", "reason": f"raised {first_line(error)}"}


class _Holder:
    """The loaded implementation, and its layers that keep their state between requests; a method for each request."""

    def __init__(self) -> None:
        self.held: binder.LoadedTarget | None = None
        self.lives: dict[int, Any] = {}

    def hold(self, normalizer: Normalizer, target: str, contract: Mapping[str, str]) -> list[dict[str, Any]]:
        """Load the target. Returns what it supports in each way of calling it."""
        self.held = held = binder.hold(Implementation(normalizer.name, target, contract), normalizer)
        has = {"module": held.live is not None, "transforms": held.transformed is not None}
        offers = [attempt.offer for attempt in held.attempts]
        return [_fields(offer) | {"spell": offer.spell is not None} | has for offer in offers]

    def call(self, way: int, case: Any, gradient: bool) -> dict[str, Any]:
        assert self.held is not None, "nothing is held yet"
        return _fields(self.held.attempts[way].call(case, gradient))

    def spell(self, way: int, case: Any) -> list[str]:
        assert self.held is not None, "nothing is held yet"
        spell = self.held.attempts[way].offer.spell
        return [] if spell is None else list(spell(case))

    def operations(self) -> dict[str, str]:
        assert self.held is not None, "nothing is held yet"
        return {} if self.held.operations is None else dict(self.held.operations())

    def live(self, kind: str, case: Any) -> int:
        """Create a layer that keeps its state, and return its number; kind: "live" or "transformed"."""
        assert self.held is not None, "nothing is held yet"
        begin = self.held.live if kind == "live" else self.held.transformed
        assert begin is not None, f"it has no {kind}"
        number = max(self.lives, default=0) + 1
        self.lives[number] = begin(case)
        self.lives.pop(number - LIVES, None)
        return number

    def does(self, number: int, method: str, *words: Any) -> Any:
        """The result of a method of the layer with that number."""
        return _plain(getattr(self.lives[number], method)(*words))


REQUESTS: dict[str, Callable[..., Any]] = {
    "hold": _Holder.hold,
    "call": _Holder.call,
    "spell": _Holder.spell,
    "operations": _Holder.operations,
    "live": _Holder.live,
    "does": _Holder.does,
}
"""Every request by name."""


def _plain(value: Any) -> Any:
    """A result as `wire` can encode it: dataclasses become dicts of their fields, without fields that are functions."""
    if isinstance(value, (np.ndarray, str, int, float)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [_plain(one) for one in value]
    return _fields(value)


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if not callable(getattr(value, f.name))}
