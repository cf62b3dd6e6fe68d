"""The faults that return the same over several calls of one layer, or of one transformed module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from normcheck.diagnosis.call_traces import Place, Trace, Values, differences, repeated
from normcheck.diagnosis.evidence import Evidence
from normcheck.diagnosis.hypotheses import Hypothesis
from normcheck.diagnosis.hypothesis_test import HypothesisTest
from normcheck.normalizers import faults

ALIKE = 0.5
"""A fault is named if at least this share of all places where it or the implementation is wrong are wrong in both."""


@dataclass(frozen=True, slots=True)
class _Expected:
    """A trace, what a right subject returns for its calls, and where the implementation differs from that."""

    trace: Trace
    right: Sequence[Values]
    wrong: frozenset[Place]


def match_traces(evidence: Evidence, known: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The faults that return the same for every call; if there is none, those that are wrong at the same places.

    Where single calls are answered wrongly too, a fault must return the same: other faults change traces as well.
    """
    right = faults.subject(evidence.subject.normalizer, contract=evidence.subject.contract)
    expected = []
    for trace in evidence.traces:
        values = list(repeated(right, trace))
        expected.append(_Expected(trace, values, differences(trace, values, trace.returned)))
    expected.sort(key=lambda one: not one.wrong)
    if not expected or not expected[0].wrong:
        return []
    found: dict[str, tuple[tuple[bool, float], Hypothesis]] = {}
    for hypothesis in known:
        if not hypothesis.over_calls:
            continue
        exact, share = _likeness(evidence, hypothesis, expected)
        if not exact and (evidence.wrong or share < ALIKE):
            continue
        # Where every single call is answered rightly, a fault that shows in one is not the one that is sought.
        if evidence.wrong or HypothesisTest(hypothesis, evidence).holds(evidence.experiments):
            name = hypothesis.names[0]
            if name not in found or found[name][0] < (exact, share):
                found[name] = (exact, share), hypothesis
    exactly = any(exact for (exact, _), _ in found.values())
    alike = [one for one in found.values() if one[0][0] or not exactly]
    return [hypothesis for _, hypothesis in sorted(alike, key=lambda one: -one[0][1])]


def _likeness(evidence: Evidence, hypothesis: Hypothesis, expected: Sequence[_Expected]) -> tuple[bool, float]:
    """Whether a fault returns the same, and how much of what is wrong in either is wrong in both."""
    subject = evidence.subject
    faulty = faults.subject(subject.normalizer, hypothesis.fault, subject.contract)
    exact, common, either = True, 0, 0
    for one in expected:
        values = list(repeated(faulty, one.trace))
        exact &= not differences(one.trace, values, one.trace.returned)
        wrong = differences(one.trace, one.right, values)
        common, either = common + len(wrong & one.wrong), either + len(wrong | one.wrong)
        if not common:  # nothing in common with the first trace: so it is with most of the catalog
            return False, 0.0
    return exact, common / either
