"""What one layer did over several calls, and whether another that goes through the same answers the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from normcheck.adapters.base import Answer, Life, State, Subject
from normcheck.adapters.load import quiet
from normcheck.case import Case
from normcheck.checks import BY_NAME
from normcheck.errors import CallError
from normcheck.floats import Array
from normcheck.sweep import asked, draws

Live = Callable[[Case], Life]

LOST = 256.0
"""Roundings that may separate two right layers after a few batches."""

PROGRAMS = 10
"""Of one check at most."""


@dataclass(eq=False)
class Trace:
    """One life: the case that the layer was made for, what was asked of it in turn, and what it answered."""

    made: Case
    events: list[tuple[str, Any]] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)


class _Followed:
    """A life that is written down as it goes."""

    def __init__(self, life: Life, trace: Trace) -> None:
        self._life, self._trace = life, trace

    def _noted(self, event: tuple[str, Any], act: Callable[[], Any]) -> Any:
        self._trace.events.append(event)
        try:
            found = act()
        except CallError:
            self._trace.seen.append("refused")
            raise
        self._trace.seen.append(_own(found))
        return found

    def call(self, case: Case, gradient: bool) -> Answer:
        found: Answer = self._noted(("call", (case, gradient)), lambda: self._life.call(case, gradient))
        return found

    def do(self, operation: str) -> None:
        self._noted(("do", operation), lambda: self._life.do(operation))

    def state(self) -> State:
        found: State = self._noted(("state", None), self._life.state)
        return found


def _own(found: Answer | State | None) -> tuple[Any, ...]:
    """What was found, in memory of its own."""
    if isinstance(found, State):
        return np.array(found.mean), np.array(found.var), found.format, found.count
    if found is None:
        return ()
    return tuple(None if a is None else np.array(a) for a in (found.y, found.dx))


def traces(subject: Subject, name: str) -> list[Trace]:
    """The lives that a check asks a layer to lead; none of a check that asks single calls."""
    live, out = subject.live, []
    if live is None:
        return []

    def followed(case: Case) -> Life:
        out.append(Trace(case))
        return _Followed(live(case), out[-1])

    listener = replace(subject, live=followed)
    check = BY_NAME[name]
    some = chain(check.space.always(subject), draws(subject, check, PROGRAMS, seed=1))
    for tried, draw in enumerate(some):
        with quiet():
            asked(listener, check, draw)
        if not out or len(out) >= PROGRAMS or tried > PROGRAMS + 2:
            break
    return out


def _led(live: Live, trace: Trace) -> Iterator[Any]:
    """What a layer answers that leads the same life."""
    with quiet():
        life = live(trace.made)
        for what, given in trace.events:
            try:
                if what == "call":
                    yield _own(life.call(*given))
                elif what == "do":
                    life.do(given)
                    yield ()
                else:
                    yield _own(life.state())
            except CallError:
                yield "refused"
            except (ArithmeticError, ValueError, IndexError):
                yield "no meaning there"


def _same(one: Any, other: Any, u: float) -> bool:
    """Whether two answers are the same; what one of them does not tell is not compared."""
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    return all(_alike(a, b, u) for a, b in zip(one, other, strict=True))


def _alike(one: Any, other: Any, u: float) -> bool:
    if one is None or other is None:
        return True
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return bool(one == other) or one == "" or other == ""
    if one.shape != other.shape:
        return False
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        size: Array = np.abs(np.where(finite, other, 0.0))
        near = np.abs(one - other) <= LOST * u * size.max(initial=0.0)
    return bool(np.all(np.where(finite, near, np.isfinite(one) == np.isfinite(other))))


def agrees(live: Live | None, trace: Trace) -> bool:
    """Whether a layer that leads the same life answers the same throughout."""
    if live is None:
        return False
    u = max(trace.made.format.u, 2.0**-24)
    return all(_same(one, other, u) for one, other in zip(_led(live, trace), trace.seen, strict=True))
