"""Cases as arrays for JAX and back: formats and values. JAX itself keeps every array contiguous."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normcheck.core.floats import FLOAT64, FORMATS, Array
from normcheck.core.uses import WIDE, WIDENED
from normcheck.normalizers.case import Case

DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(getattr(jnp, name)) for name in FORMATS}


def dtype_of(case: Case, name: str) -> np.dtype[Any]:
    """The dtype of an array of the case: under the use `WIDE` some are wider than the input."""
    wide = case.use == WIDE and name in WIDENED
    return DTYPES[case.format.wide.name if wide else case.format.name]


def given(values: Array | None, case: Case, name: str = "x") -> Array | None:
    """An array of the case as a compiled program gets it, in numpy's memory; None stays None."""
    return None if values is None else np.array(values, dtype=dtype_of(case, name), order="C")


def array(value: Any) -> Array:
    """The values of an array of JAX as a new float64 numpy array."""
    return np.array(value).astype(np.float64)


def format_of(value: Any) -> str:
    """The name of an array's dtype."""
    return str(np.dtype(value.dtype).name)


def precision(format: str) -> AbstractContextManager[Any]:
    """The setting under which arrays of a format exist: 64-bit types for float64, the user's own otherwise."""
    return jax.enable_x64(True) if format == FLOAT64.name else nullcontext()


def flushed() -> tuple[str, ...]:
    """The formats whose numbers below the smallest normal one become zero when they are multiplied by one half."""
    with precision(FLOAT64.name):
        least = {name: np.array(2.0**format.smallest, dtype=DTYPES[name]) for name, format in FORMATS.items()}
        halves = jax.jit(lambda all: {name: one * 0.5 for name, one in all.items()})(least)
    return tuple(name for name in FORMATS if float(halves[name]) == 0.0)
