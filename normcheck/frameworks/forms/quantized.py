"""The forms int8, e4m3 and e5m2: the output is quantized, (q, scale) of the whole output, of rows or of blocks.

What is returned is multiplied out in float64, and taken for the output in the format of the input. Code that takes its
scale gets one and returns q alone.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT64, Array
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import (
    Around,
    FormCall,
    FormedClaim,
    FormQuestion,
    FormSpec,
    Given,
    as_given,
    values_of,
)
from normcheck.normalizers.case import Case
from normcheck.normalizers.forms import PLAIN
from normcheck.normalizers.quantization import GIVEN_SCALE, QUANTIZED, SCALES, Quantized
from normcheck.normalizers.subject import Answer, Call


def _as_own_format(call: Call, claim: FormedClaim) -> Call:
    def named(case: Case, gradient: bool) -> Answer:
        answer = call(case, gradient)  # a new residual has a format of its own
        return replace(answer, format=case.format.name) if answer.format == FLOAT64.name else answer

    return named


AROUND = Around(call=_as_own_format)


def _with_scale(question: FormQuestion) -> Given:
    return {"input": question.x, "scale": question.like(np.asarray(GIVEN_SCALE))}


def _parts(returned: Any, question: FormQuestion, of: Quantized) -> tuple[Any, Any, tuple[Any, ...]]:
    """The quantized values, the array that may be their scale or None, and what else was returned.

    Raises `CallError` if no array has the declared format.
    """
    arrays, values = question.arrays, values_of(returned)
    known = [one for one in values if arrays.is_array(one)]
    found = [one for one in known if arrays.format_of(one) in of.dtypes and tuple(one.shape) == question.shape]
    if not found:
        seen = ", ".join(arrays.format_of(one) for one in known) or type(returned).__name__
        raise CallError(f"it returned {seen}, and nothing in {of.name} of the input's shape", f"returns no {of.name}")
    others = [one for one in known if one is not found[0]]
    scale = min(others, key=lambda one: tuple(one.shape) == question.shape, default=None)
    rest = tuple(one for one in values if one is not found[0] and one is not scale)
    return found[0], scale, rest


def _spread(scale: Array, shape: tuple[int, ...]) -> Array:
    """The scale of each entry. Raises `CallError` for a number of scales that is none of output, rows or blocks."""
    rows, width = int(np.prod(shape[:-1])), shape[-1]
    if scale.size == 1:
        return np.full(shape, float(scale.reshape(())))
    blocks = scale.size // max(rows, 1)
    if rows * blocks != scale.size or not blocks or width % blocks:
        raise CallError(
            f"it returned {scale.size} scales for {rows} rows of {width}", "returns scales of neither rows nor blocks"
        )
    return np.repeat(scale.reshape(rows, blocks), width // blocks, axis=1).reshape(shape)


def _scales(scale: Any, question: FormQuestion) -> Array:
    if scale is None:
        raise CallError("it returned no scale beside its quantized output", "returns no scale")
    return _spread(question.arrays.numbers(scale), question.shape)


def _multiplied(returned: Any, given: Given, question: FormQuestion, of: Quantized) -> Any:
    """The output; with what else was returned after it."""
    q, scale, rest = _parts(returned, question, of)
    if "scale" in given:
        factor, rest = np.full(question.shape, GIVEN_SCALE), (*rest, *(() if scale is None else (scale,)))
    else:
        factor = _scales(scale, question)
    y = question.arrays.exact(question.arrays.numbers(q) * factor, question.x)
    return (y, *rest) if rest else y


def _own_scales(returned: Any, given: Given, question: FormQuestion, of: Quantized) -> Any:
    _, scale, rest = _parts(returned, question, of)
    spread = np.full(question.shape, GIVEN_SCALE) if "scale" in given else _scales(scale, question)
    factor = question.arrays.exact(spread, question.x)
    return (factor, *rest) if rest else factor


def _form(of: Quantized, *, given: bool) -> FormSpec:
    start = _with_scale if given else as_given
    return FormSpec(
        {"scale": names.OUTPUT_SCALE} if given else {},
        {
            PLAIN: FormCall(start, partial(_multiplied, of=of), AROUND),
            SCALES[of.name]: FormCall(start, partial(_own_scales, of=of), AROUND),
        },
        innermost=True,
    )


def forms_of(name: str) -> tuple[FormSpec, ...]:
    """The form in which code finds its scale, and the one in which it gets it."""
    of = QUANTIZED[name]
    return _form(of, given=False), _form(of, given=True)
