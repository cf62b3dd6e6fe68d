"""Which known fault a recurrent net looks like: every fault is called on the same cases, and must return the same.

A fault is named if on every case it is within `NEAR` bounds of the net's answers, and if it explains an answer that is
wrong. A file beside those that every family has, because only this family searches for faults: `explain` states what is
known of an entry, and needs neither checks nor faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT64, Array
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode
from normcheck.core.result import Outcome
from normcheck.families.recurrent import faults
from normcheck.families.recurrent.bounds import DIGITS, NEAR, RecurrentTruth, truth
from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.checks import CHECKS_BY_NAME
from normcheck.families.recurrent.checks.calls import turns
from normcheck.families.recurrent.faults.base import variants
from normcheck.families.recurrent.space import RecurrentDraw, recurrent_case
from normcheck.families.recurrent.subject import RecurrentSubject

Arrays = Mapping[str, Array]
"""The arrays of an answer, by what they are."""


def _draws(net: RecurrentSubject, outcomes: Sequence[Outcome]) -> Iterator[RecurrentDraw]:
    """Plain draws in every mode that the net serves, then those of the findings."""
    domain = net.domain
    format = FLOAT64.name if FLOAT64.name in domain.formats else domain.formats[0]
    eps = 1e-2 if domain.eps is None else domain.eps
    plain = RecurrentDraw(format=format, eps=eps, states=domain.states, fixed=domain.roles, momentum=domain.momentum)
    yield plain
    if domain.state:
        yield from (replace(plain, training=False), replace(plain, training=False, beyond=2))
    if domain.lengths:
        yield replace(plain, padded=True, steps=5)
    if domain.batch_first:
        yield replace(plain, batch_first=True)
    yield replace(plain, steps=12, cases=3, units=2)
    for outcome in outcomes:
        if outcome.finding is not None:
            space = CHECKS_BY_NAME[outcome.check].space
            yield space.adapt(net, decode(outcome.finding.replay, space.plain)[1])


def _arrays(answer: RecurrentAnswer, case: RecurrentCase) -> Arrays:
    """All arrays of an answer that are compared; outputs of ended series count as 0."""
    out = {"y": np.where(case.live[:, :, None], answer.y, 0.0)}
    out |= {f"last {name}": value for name, value in answer.last.items()}
    out |= {f"d{name}": value for name, value in answer.grads.items()}
    if case.means:
        out |= {f"mean {place}": rows for place, rows in answer.means.items()}
        out |= {f"variance {place}": rows for place, rows in answer.variances.items()}
    return out


def _limits(right: RecurrentTruth) -> Arrays:
    allowed = right.allowed
    return _arrays(
        RecurrentAnswer(allowed.y, "", allowed.last, allowed.grads, allowed.means, allowed.variances), right.case
    )


def _unlike(one: Arrays, other: Arrays, limits: Arrays) -> dict[str, float]:
    """How far each array of one answer is from the other's, in bounds."""
    out = {}
    for name, value in one.items():
        if name in other and name in limits and other[name].shape == value.shape == limits[name].shape:
            with np.errstate(all="ignore"):
                ratio = np.abs(value - other[name]) / np.maximum(limits[name], np.finfo(np.float64).tiny)
            out[name] = float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))
        else:
            out[name] = np.inf
    return out


def _beside(net: RecurrentSubject, case: RecurrentCase) -> tuple[object, ...]:
    """What can be wrong beside answers: first gains and variances, trained parameters, side effects, saved states."""
    new = net.initial(case)
    gains = tuple(
        round(float(v.flat[0]), DIGITS) for role, v in sorted(new.parameters.items()) if role.startswith("gain")
    )
    rows = tuple((place, v.shape[0], float(v.flat[0])) for place, v in sorted(new.variances.items()))
    answer, again = net.call(case, False), net.reloaded(case)
    after = case.but(training=False, means=again.means, variances=again.variances)
    saved = np.array_equal(again.y, net.call(after, False).y)
    return gains, rows, bool(new.extra), bool(answer.changed), saved


def _in_turn(net: RecurrentSubject, case: RecurrentCase) -> Arrays | None:
    """The arrays of the answers to several calls of one net, by call; None if it raises.

    Statistics after a call in evaluation are left out: they are those of the call before, rounding included.
    """
    try:
        with quiet():
            cases = turns(net, case)
            pairs = list(zip(cases, net.successive(cases), strict=True))
    except (CallError, KeyError, ValueError, IndexError, ZeroDivisionError):
        return None
    called = (_arrays(got, one if one.training else one.but(means={})) for one, got in pairs)
    return {f"{name}, call {i}": value for i, arrays in enumerate(called) for name, value in arrays.items()}


def _limits_in_turn(net: RecurrentSubject, case: RecurrentCase) -> Arrays:
    """What each array of `_in_turn` may be off by, with the statistics of the case."""
    cases = turns(net, case)
    pairs = [(one, _limits(truth(net.entry, one, net.contract))) for one in cases]
    return {f"{name}, call {i}": v for i, (_, limits) in enumerate(pairs) for name, v in limits.items()}


def _explained_in_turn(
    net: RecurrentSubject, same: RecurrentSubject, sound: RecurrentSubject, case: RecurrentCase
) -> int:
    """How many wrong arrays of calls in turn a fault explains; 0 if it differs from the net in anything."""
    limits = _limits_in_turn(net, case)
    got, predicted, right = (_in_turn(one, case) for one in (net, same, sound))
    if got is None or predicted is None or any(ratio > NEAR for ratio in _unlike(got, predicted, limits).values()):
        return 0
    assert right is not None
    return sum(ratio > NEAR for ratio in _unlike(got, right, limits).values())


def diagnose(net: RecurrentSubject, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Names of the faults that return what the net returns, those that explain most wrong arrays first."""
    evidence = []
    for draw in _draws(net, outcomes):
        case = recurrent_case(net.entry, draw)
        got = _called(net, case, gradient=net.domain.gradient)
        if got is not None:
            evidence.append((case, got, _limits(truth(net.entry, case, net.contract))))
    sound = faults.faulty(net.entry, None, net.contract)
    found = []
    for known in faults.ALL.values():
        for fault in variants(known, net.entry) if known.concerns(net.entry) else ():
            same = faults.faulty(net.entry, fault, net.contract)
            explained = _explained(net, same, sound, evidence)
            if explained:
                found.append((explained, fault.name))
                break
    return tuple(name for _, name in sorted(found, key=lambda pair: -pair[0]))


def _explained(
    net: RecurrentSubject,
    same: RecurrentSubject,
    sound: RecurrentSubject,
    evidence: Sequence[tuple[RecurrentCase, Arrays, Arrays]],
) -> int:
    """How many wrong arrays a fault explains; 0 if it differs from the net in anything."""
    count = 0
    for case, got, limits in evidence:
        predicted = _called(same, case, gradient=net.domain.gradient)
        if predicted is None or any(ratio > NEAR for ratio in _unlike(got, predicted, limits).values()):
            return 0
        right = _called(sound, case, gradient=net.domain.gradient)
        assert right is not None
        count += sum(ratio > NEAR for ratio in _unlike(got, right, limits).values())
    if evidence and count == 0:
        first = evidence[0][0]
        count = _explained_in_turn(net, same, sound, first.but(h=None, c=None))
    if evidence and count == 0:
        predicted_beside = _beside(same, first)
        count = int(predicted_beside != _beside(sound, first) and predicted_beside == _beside(net, first))
    return count


def _called(net: RecurrentSubject, case: RecurrentCase, *, gradient: bool) -> Arrays | None:
    """The arrays of a net's answer; None if it raises."""
    try:
        with quiet():
            return _arrays(net.call(case, gradient), case)
    except (CallError, KeyError, ValueError, IndexError, ZeroDivisionError):
        return None
