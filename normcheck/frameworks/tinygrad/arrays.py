"""Cases as tensors of tinygrad and back: formats and values, by their bits, so that no device rounds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tinygrad import Tensor, dtypes

from normcheck.core.floats import BFLOAT16, FORMATS, Array

DTYPES: dict[str, Any] = {name: getattr(dtypes, name) for name in FORMATS}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
HALF = np.uint32(16)
"""The bits by which a number of bfloat16 is shorter than the same number in float32."""


def tensor(values: Array, format: str) -> Any:
    """A tensor with these values in a format; they are rounded once."""
    values = FORMATS[format].round(np.asarray(values, dtype=np.float64))
    if format != BFLOAT16.name:
        return Tensor(np.array(values, dtype=format, order="C").reshape(-1)).reshape(values.shape).realize()
    bits = (values.astype(np.float32).view(np.uint32) >> HALF).astype(np.uint16)
    return Tensor(bits.tobytes(), dtype=dtypes.bfloat16).reshape(values.shape).realize()


def given(values: Array | None, format: str) -> Any:
    """A tensor of a case; None stays None."""
    return None if values is None else tensor(values, format)


def array(value: Any) -> Array:
    """The values of a tensor as a new float64 numpy array."""
    if not value.numel():
        return np.zeros(value.shape)
    if value.device is None:  # a constant, which tinygrad would compute on a device of its own choice
        value = value.clone()
    if value.dtype != dtypes.bfloat16:
        return np.array(value.numpy(), dtype=np.float64)
    bits = value.contiguous().realize().bitcast(dtypes.uint16).numpy().astype(np.uint32)
    return np.asarray((bits << HALF).view(np.float32), dtype=np.float64)


def format_of(value: Any) -> str:
    """The name of a tensor's dtype."""
    return NAMES.get(value.dtype, str(value.dtype).removeprefix("dtypes."))
