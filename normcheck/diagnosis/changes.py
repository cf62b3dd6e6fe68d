"""What depends on earlier calls: calls with the same arguments that differ, and answers that follow the first input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normcheck.diagnosis.experiments import Experiment, Question, experiments
from normcheck.diagnosis.hypotheses import hypotheses
from normcheck.diagnosis.observation import agrees, deviates
from normcheck.diagnosis.standard_cases import unseen_cases
from normcheck.normalizers import faults
from normcheck.normalizers.subject import Call, Subject

CALLS = 102
"""Calls on the same new content, at most: what is stored once and returned later is stored within a hundred calls."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """The arrays that differ between two calls on the same content, and the call on new content that first differs.

    first: 0 if no call differs, or if it was not looked for because two calls on the same content differ.
    later: a question that is answered wrongly after `question`, of the same shape, was answered rightly; or None.
    """

    question: Question
    arrays: frozenset[str] = frozenset()
    first: int = 0
    later: Experiment | None = None

    def alike(self, call: Call) -> bool:
        """Whether another call, that was not made before, changes in the same way."""
        if self.later is not None:
            return _follows(call, self.question, self.later)
        if self.arrays:
            arrays = _unsteady(call, self.question)  # gradients follow an output that changes
            return bool(arrays) and arrays <= self.arrays and ("y" in arrays) == ("y" in self.arrays)
        return self.first / 3 < _first_different(call, self.question) < 3 * self.first


def changes(subject: Subject, question: Question) -> Changes | None:
    """What changes from call to call; None if nothing does."""
    arrays = _unsteady(subject.call, question)
    first = 0 if arrays else _first_different(subject.call, question)
    return Changes(question, arrays, first) if arrays or first else _kept_from_first(subject)


def _kept_from_first(subject: Subject) -> Changes | None:
    """A wrong answer after a right one of the same shape, if a fault that lasts over calls explains it."""
    found = list(experiments(subject, map(Question, unseen_cases(subject))))
    if len(found) < 3 or not any(_wrong(one) - _wrong(found[0]) for one in found[1:]):
        return None
    seen = Changes(found[0].question, later=found[-1])
    lasting = [h.fault for h in hypotheses(subject.normalizer, subject.contract.form) if h.lasting]
    known = any(seen.alike(faults.subject(subject.normalizer, fault, subject.contract).call) for fault in lasting)
    return seen if known else None


def _wrong(experiment: Experiment) -> frozenset[str]:
    return frozenset(one.name for one in experiment.observations if one.wrong)


def _follows(call: Call, first: Question, later: Experiment) -> bool:
    """Whether another call answers the later question in the same way after it answered the first.

    A wrong output must be the same; otherwise the gradient must be wrong in the same place.
    """
    first.answer(call)
    got = later.question.answer(call)
    if got is None:
        return False
    outputs = [one for one in later.observations if one.name == "y"]
    if any(one.wrong for one in outputs):
        return all(agrees(one, got.y) for one in outputs)
    return all(
        one.wrong == deviates(one, getattr(got, one.name)) for one in later.observations if one.name in ("y", "dx")
    )


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
