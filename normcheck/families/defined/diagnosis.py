"""The faults of a finding: those that make it, and of several those that give every array of the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from normcheck.core.ask import run_check
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode
from normcheck.core.reproduction import DIGITS, Diagnose, reproducing
from normcheck.core.result import Outcome
from normcheck.families.defined import checks
from normcheck.families.defined.case import DefinedAnswer
from normcheck.families.defined.checks import calls, values
from normcheck.families.defined.faults import ALL, SLIPS, faulty, like
from normcheck.families.defined.faults.base import BACKWARD, CALLS, OUTPUT
from normcheck.families.defined.space import SMALL, DefinedDraw, DefinedSpace, defined_case
from normcheck.families.defined.subject import DefinedSubject


def _among(*damages: str) -> Diagnose:
    """The diagnosis by slips, and by those faults that damage something of this kind."""
    own = {slip.name for slip in SLIPS}
    some = {name: fault for name, fault in ALL.items() if name in own or fault.damages in damages}
    noisy = [name for name, fault in some.items() if fault.noisy]
    first = {name: fault.suspected for name, fault in some.items() if fault.suspected is not None}
    return reproducing(checks.CHECKS, some, faulty, like, noisy=noisy, first=first)


_OF_OUTPUT, _OF_GRADIENT, _OF_ANY = _among(OUTPUT, CALLS), _among(BACKWARD, CALLS), _among(OUTPUT, BACKWARD, CALLS)

_ANYWHERE = frozenset(check.name for check in calls.CHECKS)
"""Checks that compare all that a call returns."""

_IN_OUTPUT, _IN_GRADIENT = values.OUTPUT, values.GRADIENT

_DRAWS = (DefinedDraw(seed=1), DefinedDraw(seed=2, option=1, values=SMALL))
"""The draws whose answers are compared as a whole."""


def diagnose(subject: DefinedSubject, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Names of the faults that make one of the findings, in the order of the list of faults.

    A finding is the worst of several arrays. Where several faults make it, some may be right in another array in which
    the implementation is wrong: they are not named beside one that is wrong in both.
    """
    names = tuple(dict.fromkeys(name for outcome in outcomes for name in _able(subject, outcome)(subject, [outcome])))
    if len(names) < 2:
        return names
    with quiet():
        whole = tuple(name for name in names if _gives(subject, name))
    return whole or names


def _able(subject: DefinedSubject, outcome: Outcome) -> Diagnose:
    """The diagnosis that a finding needs: where the output is right, no fault of outputs can be its cause."""
    found = outcome.finding
    if found is None or outcome.check in _ANYWHERE:
        return _OF_ANY
    if outcome.check != _IN_GRADIENT.name or not found.replay:
        return _OF_OUTPUT
    draw = _IN_OUTPUT.space.adapt(subject, decode(found.replay, _IN_OUTPUT.space.plain)[1])
    return _OF_OUTPUT if run_check(subject, _IN_OUTPUT, [draw]).finding is not None else _OF_GRADIENT


def _gives(subject: DefinedSubject, name: str) -> bool:
    """Whether a fault gives every array of the answers of an implementation."""
    made = like(faulty(subject.entry, ALL[name], subject.contract), subject)
    for draw in _DRAWS:
        case = defined_case(subject.entry, DefinedSpace().adapt(subject, draw))
        try:
            seen, given = (one.call(case, subject.domain.gradient) for one in (subject, made))
        except CallError:
            return False
        if not all(_equal(a, b) for a, b in _pairs(seen, given)):
            return False
    return True


def _pairs(seen: DefinedAnswer, given: DefinedAnswer) -> Iterator[tuple[Array, Array]]:
    yield seen.y, given.y
    for some, others in ((seen.gradients, given.gradients), (seen.state, given.state)):
        yield from ((some[name], others[name]) for name in others if name in some)


def _equal(a: Array, b: Array) -> bool:
    """Whether two arrays are equal but for what sums of large terms leave of a small number."""
    noise = DIGITS * float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    return a.shape == b.shape and np.allclose(a, b, rtol=DIGITS, atol=noise, equal_nan=True)
