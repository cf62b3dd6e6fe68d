"""Calls of one layer, or of one transformed module, with what each returned; another subject can repeat them.

Each call returns a few named arrays and words. Where a layer first differs from a right one, and in which of them, is
as telling as the numbers: the errors of a fault have many sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from normcheck.core.ask import draws, run_case
from normcheck.core.check import Check
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32, Array
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, State, Subject

LOST = 256.0
"""Roundings that may separate two right layers after a few batches."""

TRACES, WRONG, TRIED = 6, 4, 60
"""Traces of one check, and those of them that break its law, at most; random cases that are tried for them."""

KINDS = ("live", "transformed")
"""The fields of a subject that make, for a case, what is called several times."""

Values = Mapping[str, Any]
"""What one call returned: arrays and words by name."""

Place = tuple[int, str]
"""One array or word of a trace: the number of the call, and the name."""

REFUSED: Values = {"refused": True}
"""Of a call that raised."""

MEANINGLESS: Values = {"refused": None}
"""Of a call for which a fault has no meaning."""


@dataclass(eq=False)
class Trace:
    """What was called: its kind, the case that it was made for, the calls, and what each returned."""

    kind: str
    case: Case
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    returned: list[Values] = field(default_factory=list)


class _Traced:
    """A layer or transformed module whose calls are recorded."""

    def __init__(self, traced: Any, trace: Trace) -> None:
        self._traced, self._trace = traced, trace

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._traced, name)

        def recorded(*given: Any) -> Any:
            self._trace.calls.append((name, given))
            try:
                found = call(*given)
            except CallError:
                self._trace.returned.append(REFUSED)
                raise
            self._trace.returned.append(_values(found))
            return found

        return recorded


def _values(found: Any) -> Values:
    """The arrays and words of what a call returned, in memory of their own, without those that are None."""
    out: dict[str, Any] = {"refused": False}
    if isinstance(found, State):
        out |= {
            "mean": found.mean,
            "var": found.var,
            "count": found.count,
            "format": found.format or None,
            "graph": found.graph,
        }
    elif isinstance(found, Answer):
        out |= {"y": found.y, "dx": found.dx}
    elif isinstance(found, Mapping):
        out |= {**found, "names": " ".join(sorted(found))}
    elif isinstance(found, np.ndarray):
        out |= {"weight": found}
    return {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in out.items() if v is not None}


def call_traces(subject: Subject, check: Check) -> list[Trace]:
    """Traces of the calls that a check makes, those that break its law first; none of a check of single calls."""
    begun: list[Trace] = []

    def traced(kind: str, make: Callable[[Case], Any]) -> Callable[[Case], Any]:
        def begin(case: Case) -> Any:
            made = make(case)
            begun.append(Trace(kind, case))
            return _Traced(made, begun[-1])

        return begin

    makers = {kind: traced(kind, make) for kind in KINDS if (make := getattr(subject, kind)) is not None}
    if not makers:
        return []
    listener = replace(subject, live=makers.get("live"), transformed=makers.get("transformed"))
    right, wrong = list[Trace](), list[Trace]()
    for draw in chain(check.space.explicit_examples(subject), draws(subject, check, TRIED, seed=1)):
        begun.clear()
        with quiet():
            _, comparison = run_case(listener, check, draw)
        if not begun:
            break
        (right if comparison.holds else wrong).extend(begun)
        if len(wrong) >= WRONG or (wrong and len(right) + len(wrong) >= TRACES):
            break
    return wrong + right[: TRACES - len(wrong)]


def repeated(subject: Subject, trace: Trace) -> Iterator[Values]:
    """What another subject returns for the calls of a trace."""
    with quiet():
        made = getattr(subject, trace.kind)(trace.case)
        for name, given in trace.calls:
            try:
                yield _values(getattr(made, name)(*given))
            except CallError:
                yield REFUSED
            except (ArithmeticError, ValueError, IndexError):
                yield MEANINGLESS


def differences(trace: Trace, some: Sequence[Values], others: Sequence[Values]) -> frozenset[Place]:
    """Where two that made the calls of a trace differ; a name that one of them lacks is not compared."""
    u = max(trace.case.format.u, FLOAT32.u)
    return frozenset(
        (at, name)
        for at, (one, other) in enumerate(zip(some, others, strict=True))
        for name in one.keys() & other.keys()
        if not _alike(one[name], other[name], u)
    )


def _alike(one: Any, other: Any, u: float) -> bool:
    """Whether two arrays differ by no more than rounding may, or two words are the same."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return bool(one == other)
    if one.shape != other.shape:
        return one.size == other.size and _alike(one.reshape(other.shape), other, u)
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        size: Array = np.abs(np.where(finite, other, 0.0))
        near = np.abs(one - other) <= LOST * u * size.max(initial=0.0)
    return bool(np.all(np.where(finite, near, np.isfinite(one) == np.isfinite(other))))
