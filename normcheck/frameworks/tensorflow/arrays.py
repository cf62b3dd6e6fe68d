"""Cases as tensors of TensorFlow and back: formats and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from normcheck.core.floats import FORMATS, Array

DTYPES: dict[str, Any] = {name: tf.dtypes.as_dtype(name) for name in FORMATS}


def tensor(values: Array, format: str) -> Any:
    """A tensor with these values in a format; numpy rounds them once, into memory that nothing else has."""
    return tf.constant(np.array(values, dtype=DTYPES[format].as_numpy_dtype))


def given(values: Array | None, format: str) -> Any:
    """A tensor of a case; None stays None."""
    return None if values is None else tensor(values, format)


def array(value: Any) -> Array:
    """The values of a tensor or variable as a new float64 numpy array."""
    return np.array(tf.convert_to_tensor(value).numpy(), dtype=np.float64)


def format_of(value: Any) -> str:
    """The name of a tensor's dtype."""
    return str(tf.dtypes.as_dtype(value.dtype).name)


def flushed() -> tuple[str, ...]:
    """The formats whose numbers below the smallest normal one become zero when they are multiplied by one half."""
    least = {name: tensor(np.full(16, 2.0**format.smallest), name) for name, format in FORMATS.items()}
    return tuple(name for name, one in least.items() if not array(one * 0.5).any())
