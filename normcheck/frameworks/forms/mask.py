"""The form mask: entries that are padding take no part in statistics. The mask has the input's axes without units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normcheck.frameworks.forms.form import FormArrays, FormCall, FormSpec, with_first
from normcheck.normalizers.forms import BY_PADDING, PADDING, PLAIN, in_turn
from normcheck.normalizers.normalizer import Normalizer

ROLES = {
    "mask": ("mask", "padding_mask", "attention_mask", "input_mask", "valid", "valid_mask", "pad_mask", "masks"),
}


def _axis(x: Any, normalizer: Normalizer) -> int:
    """The axis that is padded: the last of several spatial or time axes, else that of cases."""
    if len(x.shape) < 3:
        return 0
    return 1 if normalizer.sets.layout == "trailing" else len(x.shape) - 1


def _padded(x: Any, padding: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    axis = _axis(x, normalizer)
    whole = arrays.joined(x, padding, axis)
    valid = np.zeros(tuple(whole.shape))
    valid[_first(x, axis)] = 1.0
    units = valid.ndim - 1 if normalizer.sets.layout == "trailing" else 1
    return {"input": whole, "mask": arrays.like(valid.take(0, axis=units), x) > 0.5}


def _first(x: Any, axis: int) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, slice(0, x.shape[axis]))


def _before_padding(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    return _padded(x, arrays.like(in_turn(PADDING, tuple(x.shape)), x), arrays, normalizer)


def _as_padding(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    held = arrays.constant(x)
    padding = (x - held) + arrays.like(in_turn(PADDING, tuple(x.shape)), x)
    return _padded(held, padding, arrays, normalizer)


def _valid(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    whole = given["input"]
    axis = _axis(whole, normalizer)
    half = (*(slice(None),) * axis, slice(0, whole.shape[axis] // 2))
    return with_first(returned, lambda y: y[half])


FORM = FormSpec(ROLES, {PLAIN: FormCall(_before_padding, _valid), BY_PADDING: FormCall(_as_padding, _valid)})
