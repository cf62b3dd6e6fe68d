"""Checks of one recurrent net that is called several times: nothing but running statistics passes between calls."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.checks.values import outputs_within, statistics_within, truth_of
from normcheck.families.recurrent.space import RecurrentSpace
from normcheck.families.recurrent.subject import RecurrentSubject

ORDINALS = ("first", "second", "third", "fourth", "fifth")


def _other(case: RecurrentCase) -> RecurrentCase:
    """The case with other inputs and another first state: its cases in the reverse order, steps and signs too."""

    def turned(a: Array | None) -> Array | None:
        return None if a is None else -a[::-1]

    return case.but(x=case.format.round(-0.5 * case.x[::-1, ::-1] + 0.25), h=turned(case.h), c=turned(case.c))


def turns(net: RecurrentSubject, case: RecurrentCase) -> list[RecurrentCase]:
    """Three calls in training and two in evaluation; no two neighbors have the same inputs."""
    case = case.forward
    calls = ((case, True), (_other(case), True), (case, True), (_other(case), False), (case, False))
    evaluates = net.domain.state or not net.entry.state
    return [one.but(training=training) for one, training in calls if training or evaluates]


def successive(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Every call returns what a new net returns that has the running statistics of the call before."""
    cases = turns(net, case)
    held, found = cases[0], []
    for place, one, answer in zip(ORDINALS, cases, net.successive(cases), strict=False):
        right = truth_of(net, one.but(means=held.means, variances=held.variances))
        mode = f"{place} call, {'training' if one.training else 'evaluation'}"
        found += list(outputs_within(right, answer, mode))
        if net.domain.state:
            found += list(statistics_within(right, answer, mode))
            held = held.but(means=answer.means, variances=answer.variances)
    return worst(*found)


CHECKS = (
    Check("recurrent-calls-in-turn", "a call depends on no call before it, but through running statistics",
          "torch.nn.LSTM", successive,
          RecurrentSpace(steps=(4, 2, 3), cases=(5, 3), units=(4, 2), inputs=(3, 1), offset=(1.0,),
                         states=(False, True)), cost=6.0),
)  # fmt: skip
