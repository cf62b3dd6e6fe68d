"""The form modulated: each case has a weight and a bias of its own, as in AdaLN, FiLM and AdaIN.

Weight and bias have the axis of cases too: (cases, units), or with axes of size 1 to broadcast to the input. Units are
in another order in each case, those of the weight and bias of the case likewise, and the output is put back in order:
statistics of a case do not depend on the order of what they are taken over. Source: Peebles and Xie 2023 (DiT), section
3.2; Huang and Belongie 2017 (AdaIN), equation 8.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, with_first
from normcheck.normalizers.forms import PLAIN, moved_units


def _rolled(x: Any, shape: tuple[int, ...], units: int, question: FormQuestion, step: int) -> Any:
    """An array of this shape with the units of each case moved on by `step` times the number of the case."""
    return question.arrays.taken(x, moved_units(shape, units, step))


def _given(broadcast: bool, question: FormQuestion) -> Given:  # bound by partial
    units, shape = question.units, question.shape
    if len(shape) < 2 or (len(shape) > 3 and not broadcast and units > 1):
        reason = f"(cases, units) has no clear meaning for an input of {len(shape)} axes"
        raise CallError(reason, reason)
    each = tuple(size if at in (0, units) else 1 for at, size in enumerate(shape))
    out = {"input": _rolled(question.x, shape, units, question, 1)}
    for role, value in question.parameters.items():
        if value is not None:
            flat = (shape[0], shape[units])
            whole = value.reshape((1, shape[units])) + question.like(np.zeros(flat))
            rolled = _rolled(whole, flat, 1, question, 1)
            out[role] = rolled.reshape(each) if broadcast else rolled
    return out


def _taken(returned: Any, given: Given, question: FormQuestion) -> Any:
    units = question.units

    def back(y: Any) -> Any:
        if tuple(y.shape) != question.shape:
            raise CallError(f"returned an output of shape {tuple(y.shape)} for an input of shape {question.shape}")
        return _rolled(y, question.shape, units, question, -1)

    return with_first(returned, back)


def _form(*, broadcast: bool) -> FormSpec:
    return FormSpec(
        {}, {PLAIN: FormCall(partial(_given, broadcast), _taken)}, changed=("weight", "bias"), outermost=True
    )


TO_BROADCAST, BY_CASE = _form(broadcast=True), _form(broadcast=False)
