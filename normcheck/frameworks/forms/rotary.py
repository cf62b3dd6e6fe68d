"""The forms rotary and rotary-interleaved: what is normalized is rotated by its position, as queries and keys are.

Code gets cosines and sines, (tokens, width / 2) or (tokens, width) with each value twice; tokens are the last axis but
one, or the one before it. In the plain call they are 1 and 0, which changes no bit.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.errors import UnsuitedError
from normcheck.core.floats import FORMATS
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import (
    FormCall,
    FormQuestion,
    FormSpec,
    Given,
    as_returned,
    of_last_axis,
    with_first,
)
from normcheck.normalizers.forms import PLAIN
from normcheck.normalizers.rotary import NEIGHBORS, ROTATED, ROTATED_KEYS, of_entries, tables

ODD = "a rotation takes pairs of entries, and the width is odd"


def _checked(question: FormQuestion, axis: int) -> None:
    if len(question.shape) < -axis:
        reason = f"no axis of tokens in an input of {len(question.shape)} axes"
        raise UnsuitedError(reason, reason)
    if question.shape[-1] % 2:
        raise UnsuitedError(ODD, ODD)


def _still(question: FormQuestion, axis: int, *, full: bool) -> Given:
    _checked(question, axis)
    ones = np.ones((question.shape[axis], question.shape[-1] // (1 if full else 2)))
    return {"input": question.x, "cos": question.like(ones), "sin": question.like(0.0 * ones)}


def _rotated(question: FormQuestion, axis: int, use: str, *, full: bool) -> Given:
    """The first axis in the place of tokens, which it is for the reference."""
    _checked(question, axis)
    arrays, shape = question.arrays, question.shape
    both = tables(shape[0], shape[-1], FORMATS[arrays.format_of(question.x)])
    cos, sin = (question.like(of_entries(values, neighbors=use in NEIGHBORS) if full else values) for values in both)
    return {"input": arrays.moved(question.x, 0, axis), "cos": cos, "sin": sin}


def _back(returned: Any, given: Given, question: FormQuestion, axis: int) -> Any:
    return with_first(returned, lambda y: question.arrays.moved(y, axis, 0))


def _form(name: str, axis: int, *, full: bool) -> FormSpec:
    around = of_last_axis("a rotation is of the last axis")
    calls = {PLAIN: FormCall(partial(_still, axis=axis, full=full), as_returned, around)}
    for use in (ROTATED[name], ROTATED_KEYS[name]):
        given = partial(_rotated, axis=axis, use=use, full=full)
        calls[use] = FormCall(given, partial(_back, axis=axis), around)
    return FormSpec({"cos": names.COS, "sin": names.SIN}, calls)


def forms_of(name: str) -> tuple[FormSpec, ...]:
    """A form in the places that the axis of tokens may have, and in the widths of its tables."""
    return tuple(_form(name, axis, full=full) for axis, full in product((-2, -3), (False, True)))
