"""Imports of frameworks in a session of pytest."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Imports without garbage collection, whose results no later collection examines.

    A framework is a million objects that stay, and pytest collects several times at its end: two of six seconds.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()
