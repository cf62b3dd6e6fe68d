"""Faults of code that gets packed sequences. Faults only where the contract declares it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers import forms
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

_PACKED = Contract(form=forms.PACKED)


def _over_sequences(n: Normalizer) -> bool:
    """The tokens of a sequence share statistics."""
    return n.scaled and n.acts_on == "activation" and n.sets.layout == "channels" and n.independent


def _flat(array: Array) -> Array:
    """An array of cases with their positions in one axis, (cases, units, tokens)."""
    return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))


def _companion(case: Case) -> Array:
    """The tokens of the sequence after the first case, (1, units, tokens); none where running statistics are kept."""
    units, length = case.x.shape[1], math.prod(case.x.shape[2:])
    count = length + 1 if case.running_mean is None else 0
    return forms.in_turn(forms.COMPANIONS, (count, units)).T[None]


def _after(change: Callable[[Answer, FaultQuestion], Answer]) -> Callable[[Answer, FaultQuestion], Answer]:
    """A change of what a training call returns."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        plain = question.case.use in (PLAIN, forms.BESIDE_EMPTY) and question.case.training and question.case.x.size
        return change(answer, question) if plain else answer

    return after


def _evaluated(question: FaultQuestion, x: Array, dy: Array | None) -> Answer:
    case = question.case.but(x=x, dy=dy, use=PLAIN, running_mean=None, running_var=None)
    truth = evaluate(question.normalizer, case, question.contract)
    return Answer(truth.y, case.format.name, truth.dx, truth.dweight, truth.dbias)


def _shaped(found: Answer, answer: Answer, shape: tuple[int, ...]) -> Answer:
    """The answer with other arrays, of a case of this shape; the gradients that it has."""
    dx = None if answer.dx is None or found.dx is None else found.dx.reshape(shape)
    parameters = {name: getattr(found, name) for name in ("dweight", "dbias") if getattr(answer, name) is not None}
    return replace(answer, y=found.y.reshape(shape), dx=dx, **parameters)


def _without_last_token(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    x, dy = _flat(case.x), None if case.dy is None else _flat(case.dy)
    y, dx = np.zeros(x.shape), np.zeros(x.shape)
    found = replace(answer, y=y, dx=dx)
    if x.shape[2] > 1:
        part = _evaluated(question, x[..., :-1], None if dy is None else dy[..., :-1])
        y[..., :-1] = part.y
        if part.dx is not None:
            dx[..., :-1] = part.dx
        found = replace(part, y=y, dx=dx)
    return _shaped(found, answer, case.x.shape)


def _with_next_token(answer: Answer, question: FaultQuestion) -> Answer:
    """The statistics of each sequence but the last take in the first token of the next."""
    case = question.case
    x, beside = _flat(case.x), _companion(case)
    following = [x[at + 1 : at + 2, :, :1] for at in range(len(x))]
    if beside.shape[2]:
        following[0] = beside[:, :, :1]
    parts, dx = [], np.zeros(x.shape)
    for at, token in enumerate(following):
        more = np.concatenate((x[at : at + 1], *([token] if len(token) else [])), axis=2)
        dy = None if case.dy is None else np.zeros(more.shape)
        if dy is not None and case.dy is not None:
            dy[..., : x.shape[2]] = _flat(case.dy)[at : at + 1]
        found = _evaluated(question, more, dy)
        if found.dx is not None:
            dx[at] += found.dx[0, :, : x.shape[2]]
            if len(token) and (at or not beside.shape[2]):
                dx[at + 1, :, :1] += found.dx[0, :, x.shape[2] :]
        parts.append(replace(found, y=found.y[..., : x.shape[2]]))
    sums: dict[str, Any] = {
        name: None if getattr(parts[0], name) is None else sum(getattr(part, name) for part in parts)
        for name in ("dweight", "dbias")
    }
    whole = Answer(np.concatenate([part.y for part in parts]), answer.format, dx, **sums)
    return _shaped(whole, answer, case.x.shape)


def _over_all(answer: Answer, question: FaultQuestion) -> Answer:
    """The statistics are over all tokens, those of the companion among them."""
    case = question.case
    x, beside = _flat(case.x), _companion(case)
    cases, units, length = x.shape

    def joined(array: Array, more: Array) -> Array:
        return np.concatenate((np.moveaxis(array, 0, 1).reshape(1, units, cases * length), more), axis=2)

    def apart(array: Array) -> Array:
        return np.moveaxis(array[0, :, : cases * length].reshape(units, cases, length), 0, 1)

    dy = None if case.dy is None else joined(_flat(case.dy), np.zeros(beside.shape))
    found = _evaluated(question, joined(x, beside), dy)
    found = replace(found, y=apart(found.y), dx=None if found.dx is None else apart(found.dx))
    return _shaped(found, answer, case.x.shape)


def _without_last(answer: Answer, question: FaultQuestion) -> Answer:
    """The output of the last sequence is zero; a companion comes last where there is one case."""
    case = question.case
    if len(case.x) == 1 and case.running_mean is None:
        return answer
    dy, dx = case.dy, answer.dx
    y = answer.y.copy()
    y[-1] = 0.0
    if dy is None or dx is None:
        return replace(answer, y=y)
    dy = dy.copy()
    dy[-1] = 0.0
    found = _evaluated(question, case.x, dy)
    return _shaped(replace(found, y=y), answer, case.x.shape)


def _after_empty_is_nan(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    if case.use != forms.BESIDE_EMPTY or len(case.x) < 2:
        return answer
    y, dx = answer.y.copy(), None if answer.dx is None else answer.dx.copy()
    y[1] = np.nan
    if dx is not None:
        dx[1] = np.nan
    weight = None if answer.dweight is None else np.full(answer.dweight.shape, np.nan)
    return replace(answer, y=y, dx=dx, dweight=weight)


FAULTS = (
    Fault(
        name="sequence-without-its-last-token",
        story="Takes the end of a sequence for its last token: that one is left out of statistics and output.",
        source="constructed",
        concerns=_over_sequences,
        under=_PACKED,
        after=_after(_without_last_token),
    ),
    Fault(
        name="sequence-with-the-next-token",
        story="The statistics of a sequence take in the first token of the next one. Hides where there is one "
        "sequence.",
        source="constructed",
        concerns=_over_sequences,
        under=_PACKED,
        after=_after(_with_next_token),
    ),
    Fault(
        name="statistics-over-all-sequences",
        story="Takes the statistics over all tokens: the cumulated lengths are not read. Hides where there is one "
        "sequence.",
        source="constructed",
        concerns=_over_sequences,
        under=_PACKED,
        after=_after(_over_all),
    ),
    Fault(
        name="last-sequence-left-out",
        story="Counts as many sequences as there are boundaries between them: the output of the last one is never "
        "written.",
        source="constructed",
        concerns=_over_sequences,
        under=_PACKED,
        after=_after(_without_last),
    ),
    Fault(
        name="empty-sequence-is-nan",
        story="Numbers the sequences by counting the places where one starts, of which an empty sequence has none of "
        "its own: the next one is divided by the count of the empty one, 0. Hides where no sequence is empty.",
        source="constructed",
        concerns=_over_sequences,
        under=_PACKED,
        after=_after(_after_empty_is_nan),
    ),
)
"""Faults of packed sequences."""
