"""Name the fault: every known one, and pairs of them, applied to the reference until one gives the same answers.

A hypothesis is kept if it reproduces what was observed, within the bound, where the implementation is wrong and where
it is right. Among several that do, cases are sought on which they differ, and the implementation is called on these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from normcheck.core.foreign_code import quiet
from normcheck.core.result import Outcome
from normcheck.diagnosis.check_questions import particular
from normcheck.diagnosis.evidence import Evidence, collect
from normcheck.diagnosis.hypotheses import Hypothesis, hypotheses
from normcheck.diagnosis.hypothesis_test import HypothesisTest
from normcheck.diagnosis.match_traces import match_traces
from normcheck.diagnosis.pairs import OF_CHECKS, pairs
from normcheck.diagnosis.rivals import separate_rivals
from normcheck.normalizers.checks import CHECKS_BY_NAME
from normcheck.normalizers.subject import Subject

PARTLY = 0.6
"""A hypothesis that explains this share of what is wrong, and contradicts hardly anything, is named
if none explains all."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The names of what explains the findings, most likely first; a pair is two names with a plus between."""

    names: tuple[str, ...] = ()
    share: float = 0.0  # of the wrong answers, how many the first name explains
    ruled_out: tuple[str, ...] = ()  # faults that contradict what was seen


def diagnose(subject: Subject, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Names of faults that explain the findings of a run, most likely first; none without a finding."""
    return examine(subject, outcomes).names


def examine(subject: Subject, outcomes: Iterable[Outcome]) -> Diagnosis:
    """What explains the findings of a run, and what cannot."""
    failed = [CHECKS_BY_NAME[o.check] for o in outcomes if o.finding is not None and o.check in CHECKS_BY_NAME]
    if not failed:
        return Diagnosis()
    with quiet():  # numpy warns of a set without members, which has no mean
        if not any(particular(subject, check) for check in failed):
            found = _by_standard_cases(subject)
            if found is not None:
                return found
        return _explained(collect(subject, failed), hypotheses(subject.normalizer))


@lru_cache(maxsize=4)
def _by_standard_cases(subject: Subject) -> Diagnosis | None:
    """The diagnosis where standard cases show the fault, whichever ordinary check failed; None where they do not.

    Computed once: each further finding of a subject that nothing explains would repeat the same search.
    """
    evidence = collect(subject, ())
    if evidence.changes is None and evidence.standard_right:
        return None
    return _explained(evidence, hypotheses(subject.normalizer))


def _explained(evidence: Evidence, known: Sequence[Hypothesis]) -> Diagnosis:
    """What explains the evidence, and what cannot."""
    tests = [HypothesisTest(h, evidence) for h in known]
    if evidence.changes is not None:
        alike = [t.name() for t in tests if t.hypothesis.lasting and evidence.changes.alike(t.call)]
        return Diagnosis(tuple(dict.fromkeys(alike)), 1.0)
    tests = _candidates(evidence, tests) if evidence.wrong else []
    found = sorted(_singles(evidence, tests), key=HypothesisTest.rank)
    names = [] if found else match_traces(evidence, known)
    if names or not evidence.wrong:
        return Diagnosis(tuple(names), 1.0)
    if len({t.hypothesis.names for t in found}) > 1:
        found = separate_rivals(evidence.subject, found)
    found = found or sorted(pairs(evidence, tests), key=HypothesisTest.rank) or _partly(evidence, tests)
    explained = {name for t in found for name in t.hypothesis.names}
    return Diagnosis(
        names=tuple(dict.fromkeys(t.name() for t in found)),
        share=max(found[0].share(evidence.counted), 0.0) if found else 0.0,
        ruled_out=tuple(h.names[0] for h in known if not h.variant and h.names[0] not in explained),
    )


def _candidates(evidence: Evidence, tests: Iterable[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that can explain the evidence, in the order in which they are tested."""
    tests = [t for t in tests if not t.hypothesis.lasting]
    if evidence.standard_right:  # a fault that shows in standard cases is not the one that is sought
        first = sorted(evidence.standard, key=lambda experiment: experiment.size)[:4]
        tests = [t for t in tests if t.holds(first)]
    if any(experiment.large for experiment in evidence.screen):  # slow: variants and faults of checks are left out
        tests = [t for t in tests if not t.hypothesis.variant and t.hypothesis.fault.where not in OF_CHECKS]
        tests.reverse()  # the catalog begins with the formula and ends with rare sizes
    return tests


def _singles(evidence: Evidence, tests: Sequence[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that explain everything."""
    for test in tests:
        for experiment in evidence.screen:
            if evidence.budget.exhausted or (experiment.large and not test.holds(list(test.results))):
                break
            test.on(experiment)
    done = [t for t in tests if t.results.keys() >= set(evidence.screen)]
    return [t for t in done if t.holds(evidence.in_order)]


def _partly(evidence: Evidence, tests: Sequence[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that explain the output, or most of what is wrong."""
    counted, screen = evidence.counted, evidence.screen
    if any(experiment.large for experiment in counted):
        return []
    output_wrong = any(one.wrong and one.name == "y" for experiment in screen for one in experiment.observations)
    best = sorted(tests, key=lambda t: -t.share(screen))[:8]
    # A gradient can follow in more than one way from an output that is explained.
    some = [t for t in best if t.share(counted) >= PARTLY or (output_wrong and t.explains_output(counted))]
    return sorted(some, key=lambda t: -t.share(counted))
