"""Cases as arrays of MLX and back: formats and values."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np

from normcheck.core.floats import FORMATS, Array

DTYPES: dict[str, Any] = {name: getattr(mx, name) for name in FORMATS}


def tensor(values: Array, format: str) -> Any:
    """An array with these values in a format; they are rounded once."""
    return mx.array(np.asarray(values, dtype=np.float64), dtype=mx.float64).astype(DTYPES[format])


def given(values: Array | None, format: str) -> Any:
    """An array of a case; None stays None."""
    return None if values is None else tensor(values, format)


def array(value: Any) -> Array:
    """The values of an array as a new float64 numpy array."""
    return np.array(value.astype(mx.float64), dtype=np.float64)


def format_of(value: Any) -> str:
    """The name of an array's dtype."""
    return str(value.dtype).rpartition(".")[2]
