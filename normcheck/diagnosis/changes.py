"""What differs between calls of an implementation with the same arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normcheck.diagnosis.experiments import Question
from normcheck.normalizers.subject import Call

CALLS = 102
"""Calls on the same new content, at most: what is stored once and returned later is stored within a hundred calls."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """The arrays that differ between two calls on the same content, and the call on new content that first differs.

    first: 0 if no call differs, or if it was not looked for because two calls on the same content differ.
    """

    question: Question
    arrays: frozenset[str]
    first: int = 0

    def alike(self, call: Call) -> bool:
        """Whether another call changes in the same way."""
        if self.arrays:
            arrays = _unsteady(call, self.question)  # gradients follow an output that changes
            return bool(arrays) and arrays <= self.arrays and ("y" in arrays) == ("y" in self.arrays)
        return self.first / 3 < _first_different(call, self.question) < 3 * self.first


def changes(call: Call, question: Question) -> Changes | None:
    """What changes from call to call; None if nothing does."""
    arrays = _unsteady(call, question)
    first = 0 if arrays else _first_different(call, question)
    return Changes(question, arrays, first) if arrays or first else None


def _unsteady(call: Call, question: Question) -> frozenset[str]:
    """The arrays that differ between two calls on the same content."""
    out: set[str] = set()
    first, second = (question.answer(call) for _ in range(2))
    for name in ("y", "dx", "dweight", "dbias"):
        one, two = (None if a is None else getattr(a, name) for a in (first, second))
        if one is not None and two is not None and not np.array_equal(one, two, equal_nan=True):
            out.add(name)
    return frozenset(out)


def _first_different(call: Call, question: Question) -> int:
    """The first call on new content whose output differs from that of the first; 0 if there is none.

    The eps is new too: what is made for each setting, as a module is, is made anew.
    """
    case = question.case
    other = case.but(x=case.format.round(0.5 - 0.75 * case.x), eps=1.25 * case.eps)
    fresh = replace(question, case=other, gradient=False)
    first = fresh.answer(call)
    for times in range(2, CALLS + 1):
        again = fresh.answer(call)
        if first is None or again is None or not np.array_equal(first.y, again.y, equal_nan=True):
            return times
    return 0
