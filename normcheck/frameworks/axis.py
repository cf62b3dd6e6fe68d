"""Normalizers of the last axis whose implementation takes that axis as axis 1, as for maps (cases, units, *space).

The binder moves the axis: a case keeps its units in the last axis, the call gets them in axis 1, and what it returns is
moved back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.probe import Attempt, discover
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.subject import Answer, Call, Domain

NOTE = {"axis=1": "its units are axis 1 of an input (cases, units, ...): the binder moves the last axis there"}
"""The note of a subject whose axis is moved."""

UNLIKE = 0.2
"""An output that is nearer than this part of its own size to what it should be is one of that function."""


def moved_case(case: Case) -> Case:
    """A case with its last axis as axis 1, for the call. Raises `CallError` for an input with one axis."""
    if case.x.ndim < 2:
        raise CallError("an input of one axis has no axis 1")
    there = lambda array: None if array is None else np.ascontiguousarray(np.moveaxis(array, -1, 1))
    return case.but(x=there(case.x), dy=there(case.dy), tangent=there(case.tangent), units_first=True)


def moved_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a case from that of the input of the call: axis 1 is its last axis."""
    return (shape[0], *shape[2:], *shape[1:2])


def _back(array: Array | None) -> Array | None:
    return None if array is None or array.ndim < 2 else np.ascontiguousarray(np.moveaxis(array, 1, -1))


@dataclass(frozen=True, slots=True, eq=False)
class MovedCall:
    """A `Call` of an implementation that takes the units in axis 1."""

    call: Call

    def __call__(self, case: Case, gradient: bool) -> Answer:
        found = self.call(moved_case(case), gradient)
        y = _back(found.y)
        return replace(
            found, y=found.y if y is None else y, dx=_back(found.dx), jv=_back(found.jv), ddx=_back(found.ddx)
        )


def _moved(attempt: Attempt) -> Attempt:
    spell = attempt.offer.spell
    spelled: Spell | None = None if spell is None else _spelled(spell)
    offer = replace(attempt.offer, normalized=(1,), spell=spelled)
    return Attempt(MovedCall(attempt.call), offer, MovedCall(attempt.trial))


def _spelled(spell: Callable[[Case], tuple[str, ...]]) -> Spell:
    return lambda case: spell(moved_case(case))


def bound(normalizer: Normalizer, contract: Contract, attempt: Attempt) -> tuple[Call, Domain]:
    """The call and the domain of a way of calling, with the axis that it takes. Raises `CallError` if it fails.

    The last axis is tried first, unless the contract declares axis 1. Axis 1 is taken if the other fails, if it accepts
    inputs of fewer ranks, or if its output is that of the normalizer along axis 1.
    """
    failure: CallError | None = None
    usual: tuple[Call, Domain] | None = None
    try:
        if contract.axis != "1":
            usual = attempt.call, discover(normalizer, contract, attempt)
    except CallError as error:
        failure = error
    if usual is not None and not _may_be_moved(normalizer, attempt, usual[1]):
        return usual
    if normalizer.sets.layout != "trailing":
        if usual is not None:
            return usual
        raise failure or CallError(f"a {normalizer.name} has no axis that could be another one")
    other = _moved(attempt)
    try:
        domain = discover(normalizer, contract, other)
    except CallError as error:
        if usual is not None:
            return usual
        raise failure or error from None
    if usual is not None and not _prefers(normalizer, contract, attempt, usual[1], other, domain):
        return usual
    return other.call, replace(domain, notes={**domain.notes, **NOTE})


def _may_be_moved(normalizer: Normalizer, attempt: Attempt, domain: Domain) -> bool:
    """Whether the axis could be another one: a weight that fits the last axis of maps fits no other."""
    if normalizer.sets.layout != "trailing" or len(domain.normalized) > 1:
        return False
    return max(domain.ranks) < 4 or not attempt.offer.affine[0] or attempt.offer.affine[0] == "none"


def _prefers(
    normalizer: Normalizer, contract: Contract, usual: Attempt, domain: Domain, other: Attempt, moved: Domain
) -> bool:
    if len(moved.ranks) > len(domain.ranks):
        return True
    draw = Draw(n=8, sets=6, rank=max(domain.ranks), format=domain.formats[0], affine=domain.affine[0])
    case = small(normalizer, fit(normalizer, draw, domain.sizes))
    case = case if domain.eps is None else case.but(eps=domain.eps)
    expected = evaluate(normalizer, case, contract).y
    return _distance(other, case, expected) < UNLIKE * _distance(usual, case, expected)


def _distance(attempt: Attempt, case: Case, expected: Array) -> float:
    try:
        return float(np.median(np.abs(attempt.call(case, False).y - expected)))
    except CallError:
        return float("inf")
