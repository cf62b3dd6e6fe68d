"""The parent's side of isolation: a subject whose calls run in a child process.

References, bounds and verdicts stay in the parent process. The child sends numbers and text, which are validated for
type and shape and then checked like any result. What the child reports about itself (formats, side effects, called
operators) is not verified.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from normcheck.core import uses
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.floats import Array
from normcheck.core.limits import Limits
from normcheck.frameworks import binder, registry
from normcheck.frameworks.isolation import replies, wire
from normcheck.frameworks.isolation.worker import Worker
from normcheck.frameworks.probe import Attempt, Offer
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Answer, Call, Life, State, Subject, Transformed

COMPILING = 10.0
"""Factor on the time limit for requests that compile the implementation."""

BINDING = 3.0
"""Factor on the time limit for all calls of binding together, which find out what an implementation accepts."""

MOST_LOSSES = 3
"""Number of child processes that an implementation may lose before it is given up."""

FACTORIES = ("module", "transforms", "class", "layer")
"""What a target has beside its ways to be called, as an offer of the child says it."""


class Remote:
    """An implementation in a child process, which is restarted if it was lost."""

    def __init__(self, claim: Implementation, normalizer: Normalizer, limits: Limits) -> None:
        self._claim, self._normalizer, self._limits = claim, normalizer, limits
        self._worker: Worker | None = None
        self._lost, self._losses, self._spent = "", 0, 0.0  # spent: seconds in which it was waited for
        self._offers: list[dict[str, Any]] = []
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

    def load(self) -> list[dict[str, Any]]:
        """Start a process and load the implementation if needed. Returns what it supports in each way of calling it.

        Raises `UsageError` if it cannot be loaded, and `LostError` if the process is lost.
        """
        if self._lost:
            raise LostError(self._lost)
        if self._worker is None:
            claim = self._claim
            with self._watched("when it is imported"):
                self._worker = Worker(self._limits)
                request = ("load", self._normalizer, claim.target, dict(claim.contract))
                self._offers = list(self._read(self._result(self._worker, request, 1.0), replies.OFFERS))
        return self._offers

    def request(self, name: str, *arguments: Any, read: replies.Form) -> Any:
        """The result of a request. Raises `UsageError` or `CallError` as the implementation did, or `LostError`.

        read: the form that the result must have.
        """
        self.load()
        assert self._worker is not None, "load() starts a process or raises"
        case = next((value for value in arguments if isinstance(value, Case)), None)
        if time.monotonic() > self._deadline:
            with self._watched("at its first calls"):
                raise LostError(f"it takes more than {BINDING * self._limits.seconds:g} s{self._last_failure}")
        slow = case is not None and case.use in (uses.COMPILED, uses.EXPORTED)
        shape = "" if case is None else "x".join(map(str, case.x.shape))
        with self._watched(name if case is None else f"a {shape} {case.format.name} input"):
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

    def subject(self) -> Subject:
        """Bind the implementation, then end the process: the checks begin with a new one.

        Raises `UsageError` and `CallError` as `binder.subject` does, and `LostError`.
        """
        try:
            offers = self.load()
            self._deadline = time.monotonic() + BINDING * self._limits.seconds
            calls = [self._call(index) for index in range(len(offers))]
            attempts = [
                Attempt(call, self._offer(index, offer), call)
                for index, (call, offer) in enumerate(zip(calls, offers, strict=True))
            ]
            module, transforms = offers[0]["module"], offers[0]["transforms"]
            loaded = binder.LoadedTarget(
                attempts,
                (lambda case: _RemoteTransformed(self, case)) if transforms else None,
                (lambda: self.request("operations", read=replies.REASONS)) if module else None,
                (lambda case: _RemoteLife(self, case)) if module else None,
                (lambda case: self.request("constructed", case, read=replies.constructed))
                if offers[0]["class"]
                else None,
                (lambda case: self.request("unexplained", case, read=replies.REASONS)) if offers[0]["layer"] else None,
                _composition(offers[0]["language"]),
            )
            found = binder.subject_of(loaded, self._claim, self._normalizer)
            self._deadline = math.inf
            self.end()
        except Exception:
            self.close()
            raise
        return found

    def _call(self, index: int) -> Call:
        return lambda case, gradient: self.request("call", index, case, gradient, read=replies.answer(case))

    def _offer(self, index: int, record: Mapping[str, Any]) -> Offer:
        """What the implementation supports, as the child reports it; if it reports less, it is checked less."""
        sizes, language, spelled = record["sizes"], record["language"], record["spell"]
        plain = {key: value for key, value in record.items() if key not in (*FACTORIES, "sizes", "language", "spell")}
        return Offer(
            **plain,
            sizes=None if sizes is None else Sizes(**sizes),
            language=None if language is None else registry.get(language["framework"]).language,
            spell=(lambda case: self.request("source code", index, case, read=replies.TEXTS)) if spelled else None,
        )


def _composition(sent: Any) -> Callable[[Normalizer, Contract], Call | None] | None:
    """The compositions of the framework that an offer names; they run in this process."""
    return None if sent is None else registry.get(sent["framework"]).composition


class _RemoteLayer:
    """A layer that keeps its state in the child process, identified by its number."""

    def __init__(self, remote: Remote, kind: str, case: Case) -> None:
        self._remote = remote
        self._number = remote.request("new layer", kind, case, read=replies.integer(1, 1 << 30))

    def _run(self, method: str, *arguments: Any, read: replies.Form = lambda sent: None) -> Any:
        return self._remote.request("layer method", self._number, method, *arguments, read=read)


class _RemoteLife(_RemoteLayer, Life):
    """A layer over several calls (`Life`), in the child process."""

    def __init__(self, remote: Remote, case: Case) -> None:
        super().__init__(remote, "live", case)

    def call(self, case: Case, gradient: bool) -> Answer:
        found: Answer = self._run("call", case, gradient, read=replies.answer(case))
        return found

    def do(self, operation: str) -> None:
        self._run("do", operation)

    def state(self) -> State:
        found: State = self._run("state", read=replies.state)
        return found


class _RemoteTransformed(_RemoteLayer, Transformed):
    """A module whose weight is computed from a direction and a length (`Transformed`), in the child process."""

    def __init__(self, remote: Remote, case: Case) -> None:
        super().__init__(remote, "transformed", case)

    def options(self) -> tuple[str, ...]:
        return tuple(self._run("options", read=replies.TEXTS))

    def returned(self) -> Mapping[str, str]:
        return dict(self._run("returned", read=replies.REASONS))

    def weight(self) -> Array:
        found: Array = self._run("weight", read=replies.array())
        return found

    def evaluated(self) -> Array:
        found: Array = self._run("evaluated", read=replies.array())
        return found

    def formats(self) -> Mapping[str, str]:
        return dict(self._run("formats", read=replies.REASONS))

    def trained(self) -> Mapping[str, Array]:
        found: Mapping[str, Array] = self._run("trained", read=replies.mapping(replies.array()))
        return found

    def step(self, case: Case) -> None:
        self._run("step", case)

    def load(self, other: Case) -> None:
        self._run("load", other)

    def copy(self) -> None:
        self._run("copy")

    def remove(self) -> str:
        return str(self._run("remove", read=replies.text))
