"""The form packed: sequences one after the other, (tokens, units), told apart by their cumulated lengths.

`cu_seqlens` are 32-bit integers, one more than there are sequences, from 0 to the number of tokens. Code may take the
greatest length beside them. Source: Dao et al. 2022 (FlashAttention, its interface for sequences of unequal lengths).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.errors import CallError, UnsuitedError
from normcheck.core.floats import Array
from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, of_last_axis, with_first
from normcheck.normalizers.forms import BESIDE_EMPTY, COMPANIONS, PLAIN, in_turn
from normcheck.normalizers.packing import Packing, packed

NO_TOKENS = "an input of one axis has no axis of tokens"

PACKING = "packing"
"""The packing, among the values that a call gets."""


def _numbered(question: FormQuestion) -> tuple[Array, Array]:
    """The number of the token of each entry of the input, and its unit."""
    shape, units = question.shape, question.units
    each = tuple(size for at, size in enumerate(shape) if at != units)
    numbers = np.arange(math.prod(each)).reshape(each)
    return np.broadcast_to(np.expand_dims(numbers, units), shape), np.indices(shape)[units]


def _given(question: FormQuestion, *, empty: bool) -> Given:
    shape, units = question.shape, question.units
    if len(shape) < 2:
        raise UnsuitedError(NO_TOKENS, NO_TOKENS)
    each = tuple(size for at, size in enumerate(shape) if at != units)
    length, shared = math.prod(each[1:]), not question.normalizer.independent
    companion = not shared and not question.keeps_statistics()  # else it would be in the averages of the statistics
    packing = packed(shape[0], length, shared=shared, companion=companion, empty=empty)
    every, width = np.arange(shape[0] * length), np.arange(shape[units])
    places = [np.broadcast_to(at[:, None], (len(every), len(width))) for at in np.unravel_index(every, each)]
    places.insert(units, np.broadcast_to(width, (len(every), len(width))))
    own = question.arrays.taken(question.x, places)
    beside = question.like(in_turn(COMPANIONS, (length + 1, len(width))))
    order = [np.broadcast_to(packing.tokens[:, None], (len(packing.tokens), len(width)))]
    order.append(np.broadcast_to(width, order[0].shape))
    whole = question.arrays.taken(question.arrays.joined(own, beside, 0), order)
    return {
        "input": whole,
        "cu_seqlens": question.arrays.offsets(packing.boundaries, question.x),
        "max_seqlen": int(packing.lengths.max(initial=0)),
        PACKING: packing,
    }


def _taken(returned: Any, given: Given, question: FormQuestion) -> Any:
    packing: Packing = given[PACKING]
    numbers, units = _numbered(question)

    def unpacked(y: Any) -> Any:
        if tuple(y.shape) != tuple(given["input"].shape):
            raise CallError(
                f"returned an output of shape {tuple(y.shape)} for an input of shape {tuple(given['input'].shape)}"
            )
        return question.arrays.taken(y, [packing.at[numbers], units])

    return with_first(returned, unpacked)


def _form(*, longest: bool) -> FormSpec:
    around = of_last_axis("the tokens of packed sequences have one axis of units, the last", layouts=False)
    roles = {"cu_seqlens": names.CU_SEQLENS} | ({"max_seqlen": names.LONGEST} if longest else {})
    calls = {
        PLAIN: FormCall(partial(_given, empty=False), _taken, around),
        BESIDE_EMPTY: FormCall(partial(_given, empty=True), _taken, around),
    }
    return FormSpec(roles, calls, outermost=True)


FORMS = _form(longest=True), _form(longest=False)
