"""The forms mask and lengths: entries that are padding take no part in statistics.

A mask has the input's axes without that of units; lengths count the entries of each case that are none of padding.
Where the entries lie is told by `normalizers.padding`: each case has a mask and a length of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, with_first
from normcheck.normalizers import padding
from normcheck.normalizers.forms import BESIDE_PADDING, BY_PADDING, COMPANIONS, PADDING, PLAIN, in_turn

NO_LENGTHS = "an input of two axes has no lengths"


def _axis(question: FormQuestion) -> int:
    """The axis that is padded: the last of several axes of space or time, else that of cases."""
    if len(question.shape) < 3:
        return 0
    return 1 if question.units > 1 else len(question.shape) - 1


def _places(arrangement: Callable[..., padding.Arrangement], question: FormQuestion) -> padding.Arrangement:
    """Where entries lie: cases that are padded themselves are the places of one row."""
    length = question.shape[_axis(question)]
    if _axis(question) == 0:
        return arrangement(1, length, shared=True, companions=False)
    shared = not question.normalizer.independent
    companions = not shared and not question.keeps_statistics()  # else they would be in the averages of the statistics
    return arrangement(question.shape[0], length, shared=shared, companions=companions)


def _taken_from(x: Any, rows: Array, places: Array, question: FormQuestion) -> Any:
    """The entries of an array at (row, place), with all its units."""
    axis = _axis(question)
    shape = list(x.shape)
    shape[axis] = places.shape[1]
    if axis:
        shape[0] = len(rows)
    index = list(np.indices(shape))
    if axis:
        spread = np.indices(shape)[0], np.indices(shape)[axis]
        index[0], index[axis] = rows[spread], places[spread]
    else:
        index[0] = places[0][index[0]]
    return question.arrays.taken(x, index)


@dataclass(frozen=True, slots=True)
class _Padded:
    """An array with padding, and which of its entries are none, for each (row, place)."""

    whole: Any
    valid: Array


def _mask(given: _Padded, question: FormQuestion, *, padding: bool) -> Any:
    """Whether entries are valid; padding: or whether they are padding."""
    axis, shape = _axis(question), list(given.whole.shape)
    each = [size if at in (0, axis) else 1 for at, size in enumerate(shape)]
    valid = np.broadcast_to(given.valid.reshape(each), shape) != padding
    return question.like(valid.take(0, axis=question.units).astype(float)) > 0.5


def _numbers(given: _Padded, question: FormQuestion) -> Any:
    """The mask as numbers, for code that computes with it, as in 1 - mask."""
    return _mask(given, question, padding=False) * question.like(np.ones(()))


def _lengths(given: _Padded, question: FormQuestion) -> Any:
    if _axis(question) == 0:
        raise CallError(NO_LENGTHS, NO_LENGTHS)
    return question.arrays.counts(given.valid.sum(axis=1), question.x)


ROLES: dict[str, Callable[[_Padded, FormQuestion], Any]] = {
    "mask": partial(_mask, padding=False),
    "padding": partial(_mask, padding=True),
    "number": _numbers,
    "lengths": _lengths,
}
"""What marks the padding, by role."""

ARRANGED = "arranged"
"""The arrangement, among the values that a call gets."""


def _padded(x: Any, beside: Any, role: str, question: FormQuestion) -> Given:
    arranged = _places(padding.prefix if role == "lengths" else padding.scattered, question)
    joined = partial(question.arrays.joined, axis=_axis(question))
    pool = joined(joined(x, beside), question.like(in_turn(COMPANIONS, question.shape)))
    whole = _taken_from(pool, arranged.cases, arranged.places, question)
    return {"input": whole, role: ROLES[role](_Padded(whole, arranged.valid), question), ARRANGED: arranged}


def _before_padding(role: str, question: FormQuestion) -> Given:
    return _padded(question.x, question.like(in_turn(PADDING, question.shape)), role, question)


def _as_padding(role: str, question: FormQuestion) -> Given:
    beside = question.varied(in_turn(PADDING, question.shape))
    return _padded(question.arrays.constant(question.x), beside, role, question)


def _beside_padding(role: str, question: FormQuestion) -> Given:
    last = question.arrays.constant(question.x)[-1:]  # numbers of which no format overflows
    whole = question.arrays.joined(question.x, last, 0)
    row = np.arange(whole.shape[0]) < question.shape[0]
    valid = np.repeat(row[:, None], whole.shape[_axis(question)], axis=1) if _axis(question) else row[None]
    return {"input": whole, role: ROLES[role](_Padded(whole, valid), question)}


def _with_padding_times_zero(returned: Any, given: Given, question: FormQuestion) -> Any:
    """The output of the cases that are no padding; what is not finite in that of padding reaches it."""
    cases = question.shape[0]
    return with_first(returned, lambda y: y[:cases] + (0.0 * y[cases:]).sum())


def _cut(returned: Any, given: Given, question: FormQuestion) -> Any:
    arranged = given[ARRANGED]

    def cut(y: Any) -> Any:
        if tuple(y.shape) != tuple(given["input"].shape):
            raise CallError(
                f"returned an output of shape {tuple(y.shape)} for an input of shape {tuple(given['input'].shape)}"
            )
        return _taken_from(y, arranged.rows, arranged.at, question)

    return with_first(returned, cut)


def _form(role: str, known: tuple[str, ...]) -> FormSpec:
    calls = {
        PLAIN: FormCall(partial(_before_padding, role), _cut),
        BY_PADDING: FormCall(partial(_as_padding, role), _cut),
        BESIDE_PADDING: FormCall(partial(_beside_padding, role), _with_padding_times_zero),
    }
    return FormSpec({role: known}, calls, outermost=True)


_VALID = tuple(name for name in names.MASK if name not in names.PADDING_IS_TRUE)
VALID, NUMBER = _form("mask", _VALID), _form("number", _VALID)
INVALID = _form("padding", names.PADDING_IS_TRUE)
LENGTHS = _form("lengths", names.LENGTHS)
