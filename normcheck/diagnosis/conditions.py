"""Under which condition an implementation is wrong: what all wrong answers have in common, and no right one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from normcheck.core.uses import CHANGED, EVALUATED
from normcheck.diagnosis.evidence import Evidence
from normcheck.diagnosis.hypotheses import Hypothesis
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import partition

CONDITIONAL = ("forward", "backward", "running", "evaluation", "format", "mode")
"""What a fault may damage that holds in some cases only; the others are conditions themselves."""

EQUAL, SIZES = ("use", "evaluation", "format", "rank", "training"), ("cases", "members", "sets")
"""Features that are equal or not, and those that may be large enough."""


@dataclass(frozen=True, slots=True)
class Features:
    """What code may branch on."""

    use: str
    evaluation: bool  # one of the uses in evaluation mode
    format: str
    rank: int
    cases: int  # entries of the first axis
    members: int
    sets: int
    training: bool


def features(normalizer: Normalizer, case: Case) -> Features:
    """The features of a case."""
    part = partition(normalizer, case)
    evaluation = case.use in (*EVALUATED, *CHANGED)
    first = case.x.shape[0] if case.x.ndim else 1
    return Features(case.use, evaluation, case.format.name, case.x.ndim, first, part.n, part.sets, case.training)


Condition = Callable[[Features], bool]


def _equal(name: str, value: object) -> Condition:
    return lambda one: bool(getattr(one, name) == value)


def _at_least(name: str, value: int) -> Condition:
    return lambda one: bool(getattr(one, name) >= value)


def condition(evidence: Evidence) -> Callable[[Case], bool] | None:
    """What all wrong answers have in common: equal features, and sizes from the smallest wrong one on.

    Of these only what keeps right answers out. None if all right answers have it too: then it is no condition.
    """
    normalizer = evidence.subject.normalizer
    wrong, right = (
        [features(normalizer, one.question.case) for one in evidence.experiments if one.wrong == which]
        for which in (True, False)
    )
    if not wrong or not right:
        return None
    common: list[Condition] = []
    for name in EQUAL:
        values = {getattr(one, name) for one in wrong}
        if len(values) == 1:
            common.append(_equal(name, values.pop()))
    for name in SIZES:
        values = {getattr(one, name) for one in wrong}
        alone = len(values) == 1 and all(getattr(one, name) != min(values) for one in right)
        common.append(_equal(name, min(values)) if alone else _at_least(name, min(values)))
    if _inside(common, right) == len(right):
        return None
    needed = _needed(common, right)
    return lambda case: all(holds(features(normalizer, case)) for holds in needed)


def _inside(conditions: Sequence[Condition], some: Sequence[Features]) -> int:
    """How many meet all conditions."""
    return sum(all(holds(one) for holds in conditions) for one in some)


def _needed(conditions: Sequence[Condition], right: Sequence[Features]) -> list[Condition]:
    """The conditions that keep a right answer out, the sizes left out first.

    A size that is merely the smallest that was asked would exclude smaller cases that are wrong too.
    """
    kept, least = list(conditions), _inside(conditions, right)
    for one in reversed(conditions):
        rest = [other for other in kept if other is not one]
        if _inside(rest, right) == least:
            kept = rest
    return kept


def conditioned(evidence: Evidence, known: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The known faults, each under the condition that separates wrong from right answers; none without one."""
    when = condition(evidence)
    if when is None:
        return []
    return [replace(h, when=when) for h in known if h.fault.where in CONDITIONAL and not h.lasting]
