"""Name the fault: every known one, and pairs of them, applied to the reference until one gives the same answers.

A hypothesis is kept if it reproduces what was observed, within the bound, where the implementation is wrong and where
it is right. Among several that do, cases are sought on which they differ, and the implementation is called on these.
One that explains the standard cases is named only for a finding that it makes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.floats import FORMATS
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode
from normcheck.core.result import Finding, Outcome
from normcheck.diagnosis.check_questions import particular
from normcheck.diagnosis.conditions import conditioned
from normcheck.diagnosis.evidence import Evidence, of_checks, of_standard_cases
from normcheck.diagnosis.hypotheses import Hypothesis, hypotheses, within_half
from normcheck.diagnosis.hypothesis_test import PLAIN_OUTPUT, HypothesisTest
from normcheck.diagnosis.match_traces import match_traces
from normcheck.diagnosis.pairs import OF_CHECKS, pairs
from normcheck.diagnosis.places import in_places
from normcheck.diagnosis.rivals import separate_rivals
from normcheck.normalizers.checks import CHECKS_BY_NAME
from normcheck.normalizers.checks.construction import CONSTRUCTION
from normcheck.normalizers.checks.refusals import WRONG_SIZES
from normcheck.normalizers.subject import Subject

OF_ONE_LAW = {CONSTRUCTION: "construction", WRONG_SIZES: "refusal"}
"""Checks whose laws tell what is wrong, to what their faults damage: no output of a right call shows these faults."""

PARTLY = 0.6
"""A hypothesis that explains this share of what is wrong, and contradicts hardly anything, is named
if none explains all."""

IN_NUMBERS = 0.5
"""The same share where all standard answers are right, and only numbers that are reproduced count."""

MOST_NAMES = 6
"""Where more hypotheses remain none is named: what so many different faults explain tells nobody what to repair."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The names of what explains the findings, most likely first; a pair is two names with a plus between."""

    names: tuple[str, ...] = ()
    share: float = 0.0  # of the wrong answers, how many the first name explains
    ruled_out: tuple[str, ...] = ()  # faults that contradict what was seen
    hypotheses: tuple[Hypothesis, ...] = ()  # what the names stand for, several of some where variants remain


def diagnose(subject: Subject, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Names of faults that explain the findings of a run, most likely first; none without a finding."""
    return examine(subject, outcomes).names


def examine(subject: Subject, outcomes: Iterable[Outcome]) -> Diagnosis:
    """What explains the findings of a run, and what cannot."""
    findings = [o.finding for o in outcomes if o.finding is not None and o.check in CHECKS_BY_NAME]
    failed = [CHECKS_BY_NAME[finding.check] for finding in findings]
    if not failed:
        return Diagnosis()
    if all(check.name in OF_ONE_LAW for check in failed):
        return _all_of(
            [one for one in hypotheses(subject.normalizer, subject.contract.form) if _same_law(subject, one, findings)]
        )
    with quiet():  # numpy warns of a set without members, which has no mean
        known, standard = hypotheses(subject.normalizer, subject.contract.form), of_standard_cases(subject)
        if standard.changes is not None:
            return _explained(standard, known)
        found = None if any(particular(subject, check) for check in failed) else _by_standard_cases(subject)
        found = found or _explained(of_checks(subject, list(map(partial(_cases, subject), findings))), known)
        return _reproducing(subject, found, findings)


def _reproducing(subject: Subject, found: Diagnosis, findings: Sequence[Finding]) -> Diagnosis:
    """A diagnosis without the names of which no hypothesis makes one of the findings, on the same case.

    What the class of accuracy `half` explains by itself is only a warning: beside a cause it has no name of its own. A
    fault of some sets breaks laws that hold of all sets alike, which it does not break where it is in all of them.
    """
    kept = {
        h.names
        for h in found.hypotheses
        if h.lasting or h.somewhere or any(_makes(subject, h, one) for one in findings)
    }
    names = tuple(name for name in found.names if any(sorted(name.split("+")) == sorted(some) for some in kept))
    if names == found.names or (not names and any(_within_half(subject, one) for one in findings)):
        return found
    return replace(found, names=names)


def _same_law(subject: Subject, hypothesis: Hypothesis, findings: Sequence[Finding]) -> bool:
    """Whether a hypothesis breaks the law of one of the findings; its values may be others."""
    if hypothesis.fault.where not in {OF_ONE_LAW[one.check] for one in findings}:
        return False
    faulty = hypothesis.subject(subject.normalizer, subject.contract)
    made = (run_check(faulty, check, draws).finding for check, draws in map(partial(_cases, subject), findings))
    return any(made is not None and made.law == one.law for made, one in zip(made, findings, strict=True))


def _cases(subject: Subject, finding: Finding) -> tuple[Check, list[Any]]:
    """The check of a finding and its cases, the smallest first; none where the finding has no replay id."""
    check = CHECKS_BY_NAME[finding.check]
    cases = [decode(case, check.space.plain)[1] for case in (finding.smallest, finding.replay) if case]
    return check, [check.space.adapt(subject, draw) for draw in cases]


def _makes(subject: Subject, hypothesis: Hypothesis, finding: Finding) -> bool:
    """Whether a hypothesis, applied to the reference, fails the check of a finding on its case, or cannot be run."""
    check, draws = _cases(subject, finding)
    faulty = hypothesis.subject(subject.normalizer, subject.contract)
    return not draws or bool(check.lacks(faulty)) or run_check(faulty, check, draws).finding is not None


def _within_half(subject: Subject, finding: Finding) -> bool:
    """Whether code that is right but keeps statistics or eps in a narrow format makes a finding."""
    narrow = any(FORMATS[draw.format].narrow for draw in _cases(subject, finding)[1])
    return narrow and any(_makes(subject, half, finding) for half in within_half())


@lru_cache(maxsize=4)
def _by_standard_cases(subject: Subject) -> Diagnosis | None:
    """The diagnosis where standard cases show the fault, whichever ordinary check failed; None where they do not.

    Computed once: each further finding of a subject that nothing explains would repeat the same search.
    """
    evidence = of_standard_cases(subject)
    if evidence.standard_right:
        return None
    return _explained(evidence, hypotheses(subject.normalizer, subject.contract.form))


def _explained(evidence: Evidence, known: Sequence[Hypothesis]) -> Diagnosis:
    """What explains the evidence, and what cannot."""
    tests = [HypothesisTest(h, evidence) for h in known]
    if evidence.changes is not None:
        alike = [t.hypothesis for t in tests if t.hypothesis.lasting and evidence.changes.alike(t.call)]
        return _all_of(alike)
    tests = _candidates(evidence, tests) if evidence.wrong else []
    found = sorted(_singles(evidence, tests), key=HypothesisTest.rank)
    if evidence.wrong and not (found and _exactly(evidence, found[0])):
        ways = [test for test in found if test.hypothesis.fault.where == "use"]  # the way of calling is the cause
        if places := in_places(evidence, known):
            return _all_of(places)
        found = [*ways, *_conditioned(evidence, known)] or found
    traced = [] if found else match_traces(evidence, known)
    if traced or not evidence.wrong:
        return _all_of(traced)
    if len({t.hypothesis.names for t in found}) > 1:
        found = separate_rivals(evidence.subject, found)
    if not found:
        _on_screen(evidence, tests)
        found = sorted(pairs(evidence, tests), key=HypothesisTest.rank) or _partly(evidence, tests)
    if len({t.hypothesis.names for t in found}) > MOST_NAMES:
        found = []
    explained = {name for t in found for name in t.hypothesis.names}
    return Diagnosis(
        names=tuple(dict.fromkeys(t.name() for t in found)),
        share=max(found[0].share(evidence.counted), 0.0) if found else 0.0,
        ruled_out=tuple(h.names[0] for h in known if not h.variant and h.names[0] not in explained),
        hypotheses=tuple(t.hypothesis for t in found),
    )


def _all_of(some: Sequence[Hypothesis]) -> Diagnosis:
    """Single faults that explain everything, most likely first."""
    return Diagnosis(tuple(dict.fromkeys(h.names[0] for h in some)), 1.0, hypotheses=tuple(some))


def _candidates(evidence: Evidence, tests: Iterable[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that can explain the evidence, in the order in which they are tested."""
    tests = [t for t in tests if not t.hypothesis.lasting]
    if evidence.standard_right:  # a fault that shows in standard cases is not the one that is sought
        first = sorted(evidence.standard, key=lambda experiment: experiment.size)[:4]
        tests = [t for t in tests if t.holds(first)]
    if any(experiment.large for experiment in evidence.screen):  # slow: variants and faults of checks are left out
        output_wrong = any(one.wrong and one.name == "y" for e in evidence.experiments for one in e.observations)
        others = (*OF_CHECKS, "backward" if output_wrong else "forward")
        tests = [t for t in tests if not t.hypothesis.variant and t.hypothesis.fault.where not in others]
        tests.reverse()  # the catalog begins with the formula and ends with rare sizes
    return tests


def _singles(evidence: Evidence, tests: Sequence[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that explain everything."""
    found = []
    for test in tests:
        if evidence.budget.exhausted:
            break
        if test.holds(evidence.screen):
            found.append(test)
    return [test for test in found if test.holds(evidence.in_order)]


def _on_screen(evidence: Evidence, tests: Sequence[HypothesisTest]) -> None:
    """Test hypotheses on the whole screen: what each explains in part decides which are tested together."""
    for test in tests:
        for experiment in evidence.screen:
            if evidence.budget.exhausted or (experiment.large and not test.holds(list(test.results))):
                break
            test.on(experiment)


def _exactly(evidence: Evidence, test: HypothesisTest) -> bool:
    """Whether a hypothesis reproduces the numbers, not only their place."""
    return not any(result for _, result in test.pairs(evidence.counted))


def _conditioned(evidence: Evidence, known: Sequence[Hypothesis]) -> list[HypothesisTest]:
    """The hypotheses that reproduce the numbers if their fault shows under the condition of the wrong answers alone."""
    some = conditioned(evidence, known)
    when = some[0].when if some else None
    if when is None or any(experiment.large for experiment in evidence.experiments):
        return []
    asked = [e for e in evidence.experiments if when(e.question.case)]
    asked.sort(key=lambda e: (not e.wrong, e.size))
    found = []
    for hypothesis in some:
        test = HypothesisTest(hypothesis, evidence)
        if evidence.budget.exhausted:
            break
        if all(test.holds([one]) for one in asked) and not any(result for _, result in test.pairs(asked)):
            found.append(test)
    return sorted(found, key=HypothesisTest.rank)


def _partly(evidence: Evidence, tests: Sequence[HypothesisTest]) -> list[HypothesisTest]:
    """The hypotheses that explain the output, or most of what is wrong."""
    counted, screen = evidence.counted, evidence.screen
    if any(experiment.large for experiment in counted):
        return []
    seen = (one for experiment in screen for one in experiment.observations)
    output_wrong = not evidence.standard_right and any(one.wrong and one.kind == PLAIN_OUTPUT for one in seen)
    # Where standard answers are right, many faults are wrong in the place where the implementation is.
    share = partial(HypothesisTest.share, placed=not evidence.standard_right)
    least = IN_NUMBERS if evidence.standard_right else PARTLY
    best = sorted(tests, key=lambda t: -share(t, screen))[:8]
    # A gradient can follow in more than one way from an output that is explained.
    some = [t for t in best if share(t, counted) >= least or (output_wrong and t.explains_output(counted))]
    return sorted(some, key=lambda t: -share(t, counted))
