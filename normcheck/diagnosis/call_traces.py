"""What one layer did over several calls, or one transformed module, and whether another that is asked the same does it.

Each answer of a life is a few named arrays and words. Where a life first goes another way than a right one, and how,
is as telling as the numbers: a fault has many sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from normcheck.core.ask import draws, run_case
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import CHECKS_BY_NAME
from normcheck.normalizers.subject import Answer, State, Subject

LOST = 256.0
"""Roundings that may separate two right layers after a few batches."""

PROGRAMS, WRONG, LOOKED_AT = 6, 4, 60
"""Lives of one check, those of them that break its law, and those among which one is sought that does, at most."""

KINDS = ("live", "transformed")
"""Of what a subject makes for a case that has a life."""

Told = Mapping[str, Any]
"""One answer: arrays and words by name."""

Mark = tuple[int, str]
"""One answer of a life, by its place and name."""

REFUSED: Told = {"refused": True}
"""Told where a call raised."""

MEANINGLESS: Told = {"refused": None}
"""Told where a fault has no meaning."""


@dataclass(eq=False)
class Trace:
    """One life: of which kind, the case that it was made for, what was asked of it in turn, and what it answered."""

    kind: str
    made: Case
    events: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    seen: list[Told] = field(default_factory=list)


class _Followed:
    """A life that is written down as it goes."""

    def __init__(self, life: Any, trace: Trace) -> None:
        self._life, self._trace = life, trace

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask = getattr(self._life, name)

        def noted(*given: Any) -> Any:
            self._trace.events.append((name, given))
            try:
                found = ask(*given)
            except CallError:
                self._trace.seen.append(REFUSED)
                raise
            self._trace.seen.append(_told(found))
            return found

        return noted


def _told(found: Any) -> Told:
    """What was found, in memory of its own; what is not told is left out."""
    out: dict[str, Any] = {"refused": False}
    if isinstance(found, State):
        out |= {"mean": found.mean, "var": found.var, "count": found.count, "format": found.format or None}
    elif isinstance(found, Answer):
        out |= {"y": found.y, "dx": found.dx}
    elif isinstance(found, Mapping):
        out |= {**found, "names": " ".join(sorted(found))}
    elif isinstance(found, np.ndarray):
        out |= {"weight": found}
    return {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in out.items() if v is not None}


def call_traces(subject: Subject, name: str) -> list[Trace]:
    """The lives that a check asks for; none of a check that asks single calls."""
    begun: list[Trace] = []

    def followed(kind: str, make: Callable[[Case], Any]) -> Callable[[Case], Any]:
        def begin(case: Case) -> Any:
            life = make(case)
            begun.append(Trace(kind, case))
            return _Followed(life, begun[-1])

        return begin

    made = {kind: followed(kind, make) for kind in KINDS if (make := getattr(subject, kind)) is not None}
    listener = replace(subject, live=made.get("live"), transformed=made.get("transformed"))
    check, right, wrong = CHECKS_BY_NAME[name], list[Trace](), list[Trace]()
    for draw in chain(check.space.explicit_examples(subject), draws(subject, check, LOOKED_AT, seed=1)) if made else ():
        begun.clear()
        with quiet():
            _, comparison = run_case(listener, check, draw)
        if not begun:
            break
        (right if comparison.holds else wrong).extend(begun)
        if len(wrong) >= WRONG or (wrong and len(right) + len(wrong) >= PROGRAMS):
            break
    return wrong + right[: PROGRAMS - len(wrong)]


def led(subject: Subject, trace: Trace) -> Iterator[Told]:
    """What another answers that is asked the same."""
    with quiet():
        life = getattr(subject, trace.kind)(trace.made)
        for name, given in trace.events:
            try:
                yield _told(getattr(life, name)(*given))
            except CallError:
                yield REFUSED
            except (ArithmeticError, ValueError, IndexError):
                yield MEANINGLESS


def _alike(one: Any, other: Any, u: float) -> bool:
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return bool(one == other)
    if one.shape != other.shape:
        return one.size == other.size and _alike(one.reshape(other.shape), other, u)
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        size: Array = np.abs(np.where(finite, other, 0.0))
        near = np.abs(one - other) <= LOST * u * size.max(initial=0.0)
    return bool(np.all(np.where(finite, near, np.isfinite(one) == np.isfinite(other))))


def marks(trace: Trace, some: Sequence[Told], others: Sequence[Told]) -> frozenset[Mark]:
    """Where two that were asked the same answer differently. What one of them does not tell is not compared."""
    u = max(trace.made.format.u, 2.0**-24)
    return frozenset(
        (at, name)
        for at, (one, other) in enumerate(zip(some, others, strict=True))
        for name in one.keys() & other.keys()
        if not _alike(one[name], other[name], u)
    )
