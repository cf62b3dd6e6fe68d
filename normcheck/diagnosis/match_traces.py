"""The faults that lead a layer, or a transformed module, through the same life as the implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normcheck.diagnosis.call_traces import Mark, Told, Trace, led, marks
from normcheck.diagnosis.hypotheses import Hypothesis, hypotheses
from normcheck.diagnosis.hypothesis_test import Evidence, HypothesisTest
from normcheck.normalizers import faults

LIVING = ("forward", "running", "evaluation", "memory")
"""Faults that may show only over several calls of one layer."""

ALIKE = 0.5
"""Of what is wrong in two lives, together, the share that is wrong in both, from which one is named after the other."""


@dataclass(frozen=True, slots=True)
class _FollowedFault:
    """A life that was followed, how a right one answers the same, and where the two differ."""

    trace: Trace
    right: Sequence[Told]
    wrong: frozenset[Mark]


def match_traces(evidence: Evidence) -> list[str]:
    """The faults whose lives are the same, answer by answer; if there is none, those that go wrong at the same places.

    Where ordinary questions are answered wrongly too, a life must be the same: other faults change it as well.
    """
    subject = evidence.subject
    right = faults.subject(subject.normalizer, contract=subject.contract)
    followed = []
    for trace in evidence.traces:
        answers = list(led(right, trace))
        followed.append(_FollowedFault(trace, answers, marks(trace, answers, trace.seen)))
    followed.sort(key=lambda one: not one.wrong)
    if not followed or not followed[0].wrong:
        return []
    sound = not evidence.wrong(range(len(evidence.questions)))
    found: dict[str, tuple[bool, float]] = {}
    for hypothesis in hypotheses(subject.normalizer):
        if not _lives(hypothesis):
            continue
        exact, share = _likeness(evidence, hypothesis, followed)
        if (exact or (sound and share >= ALIKE)) and _right_elsewhere(evidence, hypothesis, sound=sound):
            name = hypothesis.names[0]
            found[name] = max(found.get(name, (False, 0.0)), (exact, share))
    exactly = any(exact for exact, _ in found.values())
    names = [name for name, (exact, _) in found.items() if exact or not exactly]
    return sorted(names, key=lambda name: -found[name][1])


def _lives(hypothesis: Hypothesis) -> bool:
    """Whether a fault may show over several calls, and the form not only in one."""
    fault = hypothesis.fault
    other = hypothesis.form and fault.habits is faults.get(hypothesis.names[0]).habits
    return not other and (fault.where in LIVING or fault.transforms)


def _right_elsewhere(evidence: Evidence, hypothesis: Hypothesis, *, sound: bool) -> bool:
    """Whether a fault shows in no single call, where none was answered wrongly."""
    return not sound or HypothesisTest(hypothesis, evidence).holds(range(len(evidence.questions)))


def _likeness(evidence: Evidence, hypothesis: Hypothesis, followed: Sequence[_FollowedFault]) -> tuple[bool, float]:
    """Whether a fault's lives are the same, and how much of what is wrong in either is wrong in both."""
    subject = evidence.subject
    same = faults.subject(subject.normalizer, hypothesis.fault, subject.contract)
    exact, common, either = True, 0, 0
    for one in followed:
        answers = list(led(same, one.trace))
        exact &= not marks(one.trace, answers, one.trace.seen)
        its = marks(one.trace, one.right, answers)
        common, either = common + len(its & one.wrong), either + len(its | one.wrong)
        if not common:  # what goes wrong in no followed life is most of the catalog
            return False, 0.0
    return exact, common / either
