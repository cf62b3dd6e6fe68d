"""Faults of code that rotates what it has normalized. Faults only where the contract declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import FLOAT16
from normcheck.core.uses import PLAIN
from normcheck.normalizers import forms, rotary
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.rotary import Rotation, of_tables
from normcheck.normalizers.subject import Answer

_ROTARY = Contract(form="qk+rotary")

Other = Callable[[Rotation], Rotation]
"""Another rotation than the right one."""


def _rotated(n: Normalizer) -> bool:
    return n.scaled and n.acts_on == "activation" and n.weight and forms.per_case(n)


def _rotation(question: FaultQuestion) -> Rotation:
    case = question.case
    return rotary.rotation(case.use, case.x.shape, case.format)


def _changed(answer: Answer, y: np.ndarray, dx: np.ndarray | None) -> Answer:
    return replace(answer, y=y, dx=None if answer.dx is None else dx)


def rotated_by(other: Other, uses: frozenset[str] = rotary.ALL) -> Callable[[Answer, FaultQuestion], Answer]:
    """What is normalized is rotated otherwise."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if case.use not in uses:
            return answer
        rotation = other(_rotation(question))
        dy = None if case.dy is None else rotation.back(case.dy)
        truth = evaluate(question.normalizer, case.but(use=PLAIN, dy=dy), question.contract)
        return _changed(answer, rotation(truth.y), truth.dx)

    return after


def _before(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    if case.use not in rotary.ALL:
        return answer
    rotation = _rotation(question)
    truth = evaluate(question.normalizer, case.but(use=PLAIN, x=rotation(case.x)), question.contract)
    return _changed(answer, truth.y, None if truth.dx is None else rotation.back(truth.dx))


def _still(rotation: Rotation) -> Rotation:
    return replace(rotation, cos=np.ones(rotation.cos.shape), sin=np.zeros(rotation.sin.shape))


def _reversed(rotation: Rotation) -> Rotation:
    return replace(rotation, sin=-rotation.sin)


def _other_pairs(rotation: Rotation) -> Rotation:
    pairs = rotation.cos.shape[1] // 2
    step = 2 if rotation.neighbors else 1
    tables = (values[:, : pairs * step : step] for values in (rotation.cos, rotation.sin))
    return of_tables(*tables, neighbors=not rotation.neighbors)


def _before_by_one(rotation: Rotation) -> Rotation:
    return replace(rotation, cos=np.roll(rotation.cos, 1, axis=0), sin=np.roll(rotation.sin, 1, axis=0))


def _in_half(rotation: Rotation) -> Rotation:
    return replace(rotation, cos=FLOAT16.round(rotation.cos), sin=FLOAT16.round(rotation.sin))


FAULTS = (
    Fault(
        name="rotary-before-the-norm",
        story="Rotates first and normalizes then. A norm does not change with a rotation, its weight is that of other "
        "entries: hides where all weights are equal.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=_before,
    ),
    Fault(
        name="rotary-of-queries-alone",
        story="Rotates the queries and not the keys. Hides in tests of the queries, and at the first token.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_still, frozenset(rotary.ROTATED_KEYS.values())),
    ),
    Fault(
        name="rotary-not-applied",
        story="Normalizes, and takes cosines and sines without a rotation. Hides at the first token.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_still),
    ),
    Fault(
        name="rotary-sign-reversed",
        story="Rotates the other way. Products of queries and keys hide it where both are rotated so.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_reversed),
    ),
    Fault(
        name="rotary-with-other-pairs",
        story="Rotates pairs of neighbors where an entry of each half is promised, or the reverse: weights of one kind "
        "do not serve the other. Hides at width 2. If meant, declare the other form, rotary or rotary-interleaved.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_other_pairs),
    ),
    Fault(
        name="rotary-position-off-by-one",
        story="Rotates a token by the angle of the one before. Hides in batches of one token.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_before_by_one),
    ),
    Fault(
        name="rotary-in-half",
        story="Rounds cosines and sines to float16 whatever the format is. Hides in half precision.",
        source="constructed",
        concerns=_rotated,
        under=_ROTARY,
        after=rotated_by(_in_half),
    ),
)
"""Faults of rotary position embeddings beside a normalizer."""
