"""Code that is not ours: its warnings stay its own, its exceptions become one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings of the code under test are not the caller's: their filters may turn them into errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_line(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {shorten(text[0], 160, placeholder=' ...')}" if text else type(error).__name__
