"""The child process of isolation: it loads one implementation and runs it on request, with limits on itself.

It receives inputs only: no reference, bound or expected value is ever sent to it.
"""

from __future__ import annotations

import atexit
import faulthandler
import math
import os
import pickle
import resource
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from normcheck.core.claim import Implementation
from normcheck.core.errors import CallError, UsageError
from normcheck.core.foreign_code import first_line, quiet
from normcheck.core.limits import Limits
from normcheck.core.uses import SLOW
from normcheck.frameworks import binder, registry
from normcheck.frameworks.isolation import confinement, wire
from normcheck.frameworks.isolation.side_effects import SideEffects
from normcheck.frameworks.load import load
from normcheck.normalizers.normalizer import Normalizer

DISCONNECTED = 97
"""Exit status of a child process that has lost its connection."""

LARGEST_OUTPUT = 1 << 26
"""Largest number of bytes that it may write to one file, including its captured output: 64 MiB."""

MOST_LAYERS = 64
"""Largest number of layers that keep their state at a time; a check uses one or two."""


def confine(limits: Limits, output: str) -> None:
    """Start a session, redirect input and output, limit memory and file sizes, and enable the report of crashes.

    The process can signal nothing outside of it then, where the system has that.
    """
    os.setsid()
    confinement.refuse_signals()
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(output, os.O_WRONLY | os.O_APPEND)
    for descriptor, target in ((0, null), (1, out), (2, out)):
        os.dup2(target, descriptor)
    os.close(null)
    os.close(out)
    faulthandler.enable(2)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    values = {resource.RLIMIT_FSIZE: LARGEST_OUTPUT, resource.RLIMIT_CORE: 0}
    if math.isfinite(limits.gigabytes):
        values[resource.RLIMIT_AS] = pages * resource.getpagesize() + int(limits.gigabytes * 2**30)
    for limit, value in values.items():
        resource.setrlimit(limit, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def serve(connection: socket.socket, limits: Limits, output: str) -> None:
    """Handle requests until the connection is closed or the request "end" arrives."""
    confine(limits, output)
    side_effects = SideEffects((0, 1, 2, connection.fileno()))
    requests = _Requests()
    compiled = False
    _send(connection, {"ready": True})
    while True:
        try:
            request = pickle.loads(wire.receive(connection))  # noqa: S301  # the parent process is trusted
        except wire.Disconnected:
            os._exit(DISCONNECTED)
        if request[0] == "end":
            break
        with registry.settings(), quiet():  # warning filters that the implementation changes are put back
            record = _run_request(requests, request)
        if side_effects.forked:
            os._exit(0)  # a process forked by the implementation must not reply
        if request[0] in ("load", "import"):
            side_effects.record_environment()
        compiled = compiled or any(getattr(argument, "use", "") in SLOW for argument in request)
        if not compiled:  # compilers start processes and patch modules themselves
            record["changes"] = side_effects.left()
        _send(connection, record)
    _send(connection, {"threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()]})
    atexit._run_exitfuncs()  # noqa: SLF001  # multiprocessing does not run them in a forked process


def _send(connection: socket.socket, record: dict[str, Any]) -> None:
    try:
        wire.send(connection, wire.encode(record))
    except wire.WireError:
        os._exit(DISCONNECTED)


def _run_request(requests: _Requests, request: tuple[Any, ...]) -> dict[str, Any]:
    """The record of a request's result; an exception becomes text in the record."""
    try:
        return {"result": REQUESTS[request[0]](requests, *request[1:])}
    except UsageError as error:
        return {"usage": str(error)}
    except CallError as error:
        return {"call": str(error), "reason": error.reason}
    except BaseException as error:  # the parent process reports it
        return {"call": f"its process raised {first_line(error)}", "reason": f"raised {first_line(error)}"}


class _Requests:
    """The loaded implementation, and its layers that keep their state between requests; a method for each request."""

    def __init__(self) -> None:
        self.loaded: binder.LoadedTarget | None = None
        self.subject: Any = None
        self.layers: dict[int, Any] = {}

    def load(self, normalizer: Normalizer, target: str, contract: Mapping[str, str]) -> list[dict[str, Any]]:
        """Load the target. Returns what it supports in each way of calling it."""
        self.loaded = loaded = binder.load_target(Implementation(normalizer.name, target, contract), normalizer)
        has = {
            "module": loaded.live is not None,
            "transforms": loaded.transformed is not None,
            "class": loaded.constructed is not None,
            "layer": loaded.unexplained is not None,
        }
        offers = [attempt.offer for attempt in loaded.attempts]
        return [_fields(offer) | {"spell": offer.spell is not None} | has for offer in offers]

    def call(self, index: int, case: Any, gradient: bool) -> dict[str, Any]:
        assert self.loaded is not None, "no target is loaded"
        return _fields(self.loaded.attempts[index].call(case, gradient))

    def source(self, index: int, case: Any) -> list[str]:
        assert self.loaded is not None, "no target is loaded"
        source = self.loaded.attempts[index].offer.spell
        return [] if source is None else list(source(case))

    def unexplained(self, case: Any) -> dict[str, str]:
        assert self.loaded is not None, "no target is loaded"
        return {} if self.loaded.unexplained is None else dict(self.loaded.unexplained(case))

    def constructed(self, case: Any) -> Any:
        assert self.loaded is not None, "no target is loaded"
        assert self.loaded.constructed is not None, "the target is no class"
        return _plain(self.loaded.constructed(case))

    def operations(self) -> dict[str, str]:
        assert self.loaded is not None, "no target is loaded"
        return {} if self.loaded.operations is None else dict(self.loaded.operations())

    def import_target(self, target: str) -> None:
        """Import the target of a claim of any family, before it is bound and so called."""
        load(target)

    def bind(self, bind: Callable[[Implementation], Any], claim: Implementation) -> dict[str, Any]:
        """Bind a claim of any family. Returns the domain of its subject."""
        self.subject = bind(claim)
        return _fields(self.subject.domain)

    def subject_call(self, name: str, kept: bool, *arguments: Any) -> Any:
        """The result of a function of the subject. kept: it is an object, of which the number is returned."""
        return self._kept(getattr(self.subject, name)(*arguments), kept)

    def object_method(self, number: int, name: str, kept: bool, *arguments: Any) -> Any:
        """The result of a method of the object with that number. kept: as for `subject_call`."""
        return self._kept(getattr(self.layers[number], name)(*arguments), kept)

    def _kept(self, value: Any, kept: bool) -> Any:
        """A result as it is sent: as plain data, or as the number under which the object is kept."""
        if not kept:
            return _plain(value)
        number = max(self.layers, default=0) + 1
        self.layers[number] = value
        self.layers.pop(number - MOST_LAYERS, None)
        return number

    def new_layer(self, factory: str, case: Any) -> int:
        """Create a layer that keeps its state, and return its number; factory: "live" or "transformed"."""
        assert self.loaded is not None, "no target is loaded"
        make = self.loaded.live if factory == "live" else self.loaded.transformed
        assert make is not None, f"the target has no factory {factory}"
        number: int = self._kept(make(case), kept=True)
        return number

    def layer_method(self, number: int, method: str, *arguments: Any) -> Any:
        """The result of a method of the layer with that number."""
        return _plain(getattr(self.layers[number], method)(*arguments))


REQUESTS: dict[str, Callable[..., Any]] = {
    "load": _Requests.load,
    "call": _Requests.call,
    "source code": _Requests.source,
    "constructed": _Requests.constructed,
    "unexplained": _Requests.unexplained,
    "operations": _Requests.operations,
    "new layer": _Requests.new_layer,
    "layer method": _Requests.layer_method,
    "import": _Requests.import_target,
    "bind": _Requests.bind,
    "subject call": _Requests.subject_call,
    "object method": _Requests.object_method,
}
"""Every request by name."""


def _plain(value: Any) -> Any:
    """A result as `wire` can encode it: dataclasses become dicts of their fields, without fields that are functions."""
    if isinstance(value, (np.ndarray, str, int, float)) or value is None:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [_plain(item) for item in value]
    return _fields(value)


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if not callable(getattr(value, f.name))}
