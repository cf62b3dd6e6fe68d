"""Cases as tensors of PaddlePaddle and back: formats and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle

from normcheck.core.floats import FLOAT64, WIDE_NAMES, Array

FORMATS = WIDE_NAMES
"""The formats in which its normalizers run on a processor; it has no kernels for half precision there."""


def tensor(values: Array, format: str) -> Any:
    """A tensor with these values in a format; they are rounded once."""
    return paddle.to_tensor(np.array(values, dtype=format, order="C"), place=paddle.CPUPlace())


def given(values: Array | None, format: str) -> Any:
    """A tensor of a case; None stays None."""
    return None if values is None else tensor(values, format)


def array(value: Any) -> Array:
    """The values of a tensor as a new float64 numpy array."""
    return np.array(value.detach().astype(FLOAT64.name).numpy(), dtype=np.float64)


def format_of(value: Any) -> str:
    """The name of a tensor's dtype."""
    return str(value.dtype).removeprefix("paddle.")
