"""Two faults at once, where no single one explains what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from normcheck.diagnosis.evidence import Evidence
from normcheck.diagnosis.experiments import Experiment
from normcheck.diagnosis.hypotheses import NOTHING, both
from normcheck.diagnosis.hypothesis_test import OUTPUT, PLAIN_OUTPUT, HypothesisTest
from normcheck.diagnosis.observation import Kind
from normcheck.diagnosis.pair_outputs import pair_outputs

OF_CHECKS = ("memory", "use", "format")
"""What faults damage that show only in the questions of checks, not in standard cases."""

Tests = tuple[HypothesisTest, HypothesisTest]


def pairs(evidence: Evidence, tests: Sequence[HypothesisTest]) -> list[HypothesisTest]:
    """Those that explain everything: the output explained first, then what is left of the gradients and the rest."""
    if evidence.budget.exhausted:
        return []
    nothing = HypothesisTest(NOTHING, evidence)
    forward = [t for t in tests if t.hypothesis.fault.where == "forward"]
    # where the output is right, a fault that leaves all of it right explains no more than nothing does
    first = [t for t in [nothing, *forward] if t.explains_output(evidence.in_order) and (t is nothing or t.touched)]
    if not first:
        return list(_two_in_forward(evidence, forward))
    found: list[HypothesisTest] = []
    for one in first:
        found += _completed(evidence, tests, one)
        if found and one is nothing:
            break
    return found


def _completed(evidence: Evidence, tests: Sequence[HypothesisTest], one: HypothesisTest) -> list[HypothesisTest]:
    """The pairs of one hypothesis with another that explains what it leaves."""
    left = {observation.kind for observation, result in one.pairs(evidence.counted) if result is None}
    for experiment in _first_of_each_kind(evidence.of_checks, left):
        for t in tests:
            if t.hypothesis.fault.where in OF_CHECKS:
                t.on(experiment)
    others = [t for t in tests if t.touched & left and t.hypothesis.fault.where != "forward"]
    some = [(one, t) for t in others]
    if one.hypothesis is NOTHING:
        some = [(a, b) for a, b in combinations(others, 2) if left <= a.touched | b.touched]
        some.sort(key=lambda pair: -_explained_by_either(evidence.screen, *pair))
    return [t for t in _both(evidence, some) if t.holds(evidence.in_order)]


def _both(evidence: Evidence, some: Sequence[Tests]) -> Iterator[HypothesisTest]:
    """The tests of two hypotheses at once, until the budget is exhausted."""
    for a, b in some:
        if evidence.budget.exhausted:
            return
        yield HypothesisTest(both(a.hypothesis, b.hypothesis), evidence)


def _explained_by_either(screen: Sequence[Experiment], one: HypothesisTest, other: HypothesisTest) -> int:
    """How many observations of the screen one of two hypotheses explains, each by itself."""
    results = zip(one.pairs(screen), other.pairs(screen), strict=True)
    return sum(a is not None or b is not None for (_, a), (_, b) in results)


def _first_of_each_kind(of_checks: Sequence[Experiment], left: set[Kind]) -> list[Experiment]:
    """One question of a check for each kind of observation that is left unexplained, four of the small ones."""
    first: dict[Kind, Experiment] = {}
    for experiment in of_checks:
        for one in experiment.observations:
            if one.wrong and one.kind in left:
                first.setdefault(one.kind, experiment)
    return sorted(dict.fromkeys(first.values()), key=lambda experiment: experiment.size)[:4]


def _two_in_forward(evidence: Evidence, forward: Sequence[HypothesisTest]) -> Iterator[HypothesisTest]:
    """Both faults change the output: all pairs, on the outputs of three small cases first."""
    kind = PLAIN_OUTPUT
    wrong = [e for e in evidence.counted if any(one.wrong and one.kind == kind for one in e.observations)]
    small = sorted(wrong, key=lambda experiment: experiment.size)[:3]
    changing = [t for t in forward if kind in t.touched]
    for test in _both(evidence, _near(evidence, small[0], list(combinations(changing, 2)))):
        if any(None in test.on(e, forward=True) for e in small):
            continue
        # the outputs are explained: of the two orders in which the faults apply, one may explain the gradients too
        second, first = reversed(test.hypothesis.parts)
        for one in (test, HypothesisTest(both(second, first), evidence)):
            if one.holds(evidence.counted):
                yield one
                break


def _near(evidence: Evidence, experiment: Experiment, pairs: Sequence[Tests]) -> list[Tests]:
    """The pairs whose outputs come near to that of an experiment, as many as the budget allows.

    They are asked again one by one: this is faster by an order of magnitude, since most are far off.
    """
    pairs = pairs[: evidence.budget.affords(OUTPUT, experiment.question)]
    evidence.budget.spend(OUTPUT * len(pairs), experiment.question)
    subject, output = evidence.subject, next(one for one in experiment.observations if one.kind == PLAIN_OUTPUT)
    outputs = pair_outputs(subject.normalizer, subject.contract, experiment.question.case)
    noisy = [a.hypothesis.noisy or b.hypothesis.noisy for a, b in pairs]
    near = outputs.near(output, [(a.hypothesis.fault, b.hypothesis.fault) for a, b in pairs], noisy)
    return [pair for pair, one in zip(pairs, near, strict=True) if one]
