"""The forms mask and lengths: entries that are padding take no part in statistics.

A mask has the input's axes without that of units; lengths count the entries of each case that are none of padding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, with_first
from normcheck.normalizers.forms import BESIDE_PADDING, BY_PADDING, PADDING, PLAIN, in_turn


def _axis(question: FormQuestion) -> int:
    """The axis that is padded: the last of several axes of space or time, else that of cases."""
    if len(question.shape) < 3:
        return 0
    return 1 if question.normalizer.sets.layout == "trailing" else len(question.shape) - 1


def _valid(question: FormQuestion) -> tuple[slice, ...]:
    axis = _axis(question)
    return (*(slice(None),) * axis, slice(0, question.shape[axis]))


def _cases(question: FormQuestion) -> tuple[slice, ...]:
    return (slice(0, question.shape[0]),)


def _mask(whole: Any, valid: tuple[slice, ...], question: FormQuestion, *, padding: bool) -> Any:
    """Whether entries are valid; padding: or whether they are padding."""
    mask = np.full(tuple(whole.shape), float(padding))
    mask[valid] = float(not padding)
    units = mask.ndim - 1 if question.normalizer.sets.layout == "trailing" else 1
    return question.like(mask.take(0, axis=units)) > 0.5


def _numbers(whole: Any, valid: tuple[slice, ...], question: FormQuestion) -> Any:
    """The mask as numbers, for code that computes with it, as in 1 - mask."""
    return _mask(whole, valid, question, padding=False) * question.like(np.ones(()))


def _lengths(whole: Any, valid: tuple[slice, ...], question: FormQuestion) -> Any:
    if _axis(question) == 0:
        raise CallError("an input of two axes has no lengths", "an input of two axes has no lengths")
    counts = np.zeros(whole.shape[0])
    counts[valid[0]] = question.shape[_axis(question)]
    return question.arrays.counts(counts, question.x)


ROLES: dict[str, Callable[[Any, tuple[slice, ...], FormQuestion], Any]] = {
    "mask": partial(_mask, padding=False),
    "padding": partial(_mask, padding=True),
    "number": _numbers,
    "lengths": _lengths,
}
"""What marks the padding, by role."""


def _padded(x: Any, padding: Any, role: str, question: FormQuestion) -> Given:
    whole = question.arrays.joined(x, padding, _axis(question))
    return {"input": whole, role: ROLES[role](whole, _valid(question), question)}


def _before_padding(role: str, question: FormQuestion) -> Given:
    return _padded(question.x, question.like(in_turn(PADDING, question.shape)), role, question)


def _as_padding(role: str, question: FormQuestion) -> Given:
    padding = question.varied(in_turn(PADDING, question.shape))
    return _padded(question.arrays.constant(question.x), padding, role, question)


def _beside_padding(role: str, question: FormQuestion) -> Given:
    last = question.arrays.constant(question.x)[-1:]  # numbers of which no format overflows
    whole = question.arrays.joined(question.x, last, 0)
    return {"input": whole, role: ROLES[role](whole, _cases(question), question)}


def _with_padding_times_zero(returned: Any, given: Given, question: FormQuestion) -> Any:
    """The output of the cases that are no padding; what is not finite in that of padding reaches it."""
    valid = _cases(question)
    return with_first(returned, lambda y: y[valid] + (0.0 * y[question.shape[0] :]).sum())


def _cut(returned: Any, given: Given, question: FormQuestion) -> Any:
    return with_first(returned, lambda y: y[_valid(question)])


def _form(role: str, known: tuple[str, ...]) -> FormSpec:
    calls = {
        PLAIN: FormCall(partial(_before_padding, role), _cut),
        BY_PADDING: FormCall(partial(_as_padding, role), _cut),
        BESIDE_PADDING: FormCall(partial(_beside_padding, role), _with_padding_times_zero),
    }
    return FormSpec({role: known}, calls)


_VALID = tuple(name for name in names.MASK if name not in names.PADDING_IS_TRUE)
VALID, NUMBER = _form("mask", _VALID), _form("number", _VALID)
INVALID = _form("padding", names.PADDING_IS_TRUE)
LENGTHS = _form("lengths", names.LENGTHS)
