"""The device on which code in tinygrad is called, and what that device can compute; measured once a process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tinygrad import Device
from tinygrad.helpers import DEV, Context

from normcheck.core.floats import FORMATS
from normcheck.frameworks.tinygrad import arrays

COMPILED, INTERPRETED = "CPU", "PYTHON"
"""The processor, by a C compiler, and tinygrad's interpreter, which needs none; both have every format."""


@functools.cache
def chosen() -> str:
    """The user's own choice in the variable DEV; else the processor if tinygrad finds a C compiler, else PYTHON.

    tinygrad's own default may be a device without float64.
    """
    if DEV.device:
        return repr(DEV)
    try:
        Device[COMPILED]  # compiles small programs of its own
    except Exception:
        return INTERPRETED
    return COMPILED


@contextmanager
def settings() -> Iterator[None]:
    """Tensors are made on the chosen device, and kernels are compiled in this process.

    The pool of processes that tinygrad starts to compile costs more than it saves for a few small kernels.
    """
    with Context(DEV=chosen(), PARALLEL=0):
        yield


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats in which the device computes: some compilers have no bfloat16."""
    return tuple(name for name in FORMATS if _halved(name, 1.0) == 0.5)


@functools.cache
def flushed() -> tuple[str, ...]:
    """The formats whose smallest normal number becomes zero when it is multiplied by one half."""
    return tuple(name for name in formats() if _halved(name, 2.0 ** FORMATS[name].smallest) == 0.0)


def _halved(format: str, value: float) -> float | None:
    """The half of a number as the device computes it in a format; None if it cannot."""
    try:
        with settings():
            one = arrays.tensor(np.array([value, value]), format)
            return float(arrays.array(one * arrays.tensor(np.array([0.5, 0.5]), format))[0])
    except Exception:
        return None
