"""Which known fault a recurrent net looks like: every fault is asked what the net was asked, and must answer the same.

A fault is named if on every case it is nearer to the net's answers than `NEAR` bounds of the sound net (its own
rounding has none here; a wrong answer is thousands of bounds away), and if it accounts for something that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode
from normcheck.core.result import Outcome
from normcheck.families.recurrent import faults
from normcheck.families.recurrent.bounds import RecurrentTruth, truth
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.checks import CHECKS_BY_NAME
from normcheck.families.recurrent.space import RecurrentDraw, recurrent_case
from normcheck.families.recurrent.subject import RecurrentAnswer, RecurrentSubject

NEAR = 100.0
"""Bounds of the sound net within which two answers are the same."""

Parts = Mapping[str, Array]


def _draws(net: RecurrentSubject, outcomes: Sequence[Outcome]) -> Iterator[RecurrentDraw]:
    """Plain questions in every mode that is served, then the cases of the findings."""
    domain = net.domain
    format = "float64" if "float64" in domain.formats else domain.formats[0]
    eps = 1e-2 if domain.eps is None else domain.eps
    plain = RecurrentDraw(format=format, eps=eps, states=domain.states, fixed=domain.roles, momentum=domain.momentum)
    yield plain
    if domain.state:
        yield from (replace(plain, training=False), replace(plain, training=False, beyond=2))
    if domain.lengths:
        yield replace(plain, padded=True, steps=5)
    if domain.batch_first:
        yield replace(plain, batch_first=True)
    for outcome in outcomes:
        if outcome.finding is not None:
            space = CHECKS_BY_NAME[outcome.check].space
            yield space.adapt(net, decode(outcome.finding.replay, space.plain)[1])


def _parts(answer: RecurrentAnswer, case: RecurrentCase) -> Parts:
    """All arrays of an answer that are anybody's business."""
    out = {"y": np.where(case.live[:, :, None], answer.y, 0.0)}
    out |= {f"last {name}": value for name, value in answer.last.items()}
    out |= {f"d{name}": value for name, value in answer.grads.items()}
    if case.means:
        out |= {f"mean {place}": rows for place, rows in answer.means.items()}
        out |= {f"variance {place}": rows for place, rows in answer.variances.items()}
    return out


def _limits(right: RecurrentTruth) -> Parts:
    allowed = right.allowed
    return _parts(
        RecurrentAnswer(allowed.y, "", allowed.last, allowed.grads, allowed.means, allowed.variances), right.case
    )


def _unlike(one: Parts, other: Parts, limits: Parts) -> dict[str, float]:
    """How far each array of one answer is from the other's, in bounds."""
    out = {}
    for name, value in one.items():
        if name in other and name in limits and other[name].shape == value.shape == limits[name].shape:
            with np.errstate(all="ignore"):
                share = np.abs(value - other[name]) / np.maximum(limits[name], np.finfo(np.float64).tiny)
            out[name] = float(np.nan_to_num(share, nan=np.inf).max(initial=0.0))
        else:
            out[name] = np.inf
    return out


def _beside(net: RecurrentSubject, case: RecurrentCase) -> tuple[object, ...]:
    """What can be wrong beside answers: first gains and variances, trained extras, what is written to or saved."""
    fresh = net.fresh(case)
    gains = tuple(round(float(v.flat[0]), 6) for role, v in sorted(fresh.parameters.items()) if role.startswith("gain"))
    rows = tuple((place, v.shape[0], float(v.flat[0])) for place, v in sorted(fresh.variances.items()))
    answer, again = net.call(case, False), net.reloaded(case)
    after = case.but(training=False, means=again.means, variances=again.variances)
    saved = np.array_equal(again.y, net.call(after, False).y)
    return gains, rows, bool(fresh.extra), bool(answer.changed), saved


def diagnose(net: RecurrentSubject, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Names of the faults that answer as the net does, those that account for most first."""
    evidence = []
    for draw in _draws(net, outcomes):
        case = recurrent_case(net.entry, draw)
        got = _answered(net, case, gradient=net.domain.gradient)
        if got is not None:
            evidence.append((case, got, _limits(truth(net.entry, case, net.contract))))
    sound = faults.subject(net.entry, None, net.contract)
    found = []
    for fault in faults.FAULTS:
        if fault.concerns(net.entry):
            same = faults.subject(net.entry, fault, net.contract)
            explained = _explained(net, same, sound, evidence)
            if explained:
                found.append((explained, fault.name))
    return tuple(name for _, name in sorted(found, key=lambda pair: -pair[0]))


def _explained(
    net: RecurrentSubject,
    same: RecurrentSubject,
    sound: RecurrentSubject,
    evidence: Sequence[tuple[RecurrentCase, Parts, Parts]],
) -> int:
    """How many wrong arrays a fault accounts for; 0 if it contradicts anything."""
    count = 0
    for case, got, limits in evidence:
        predicted = _answered(same, case, gradient=net.domain.gradient)
        if predicted is None or any(share > NEAR for share in _unlike(got, predicted, limits).values()):
            return 0
        right = _answered(sound, case, gradient=net.domain.gradient)
        assert right is not None
        count += sum(share > NEAR for share in _unlike(got, right, limits).values())
    if evidence and count == 0:
        first = evidence[0][0]
        told = _beside(same, first)
        count = int(told != _beside(sound, first) and told == _beside(net, first))
    return count


def _answered(net: RecurrentSubject, case: RecurrentCase, *, gradient: bool) -> Parts | None:
    """What a net answers; None where it has no answer."""
    try:
        with quiet():
            return _parts(net.call(case, gradient), case)
    except (CallError, KeyError, ValueError, IndexError, ZeroDivisionError):
        return None
