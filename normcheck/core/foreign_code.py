"""Helpers for running the code under test: its warnings are suppressed, its exceptions become one line of text."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

from normcheck.core.safe_text import safe

MOST_READ = 2_000
"""Most characters of the text of an exception that are looked at; it may have millions."""

ENDS = (KeyboardInterrupt,)
"""Exceptions that end the run and are never taken for one of the code under test."""

ENDS_ITS_TEST = ", which would end its test"
"""Appended to the reason of a `CallError` for an exception that skips or ends a test, or ends the process."""

OF_TEST_RUNNERS = ("_pytest", "unittest")
"""Packages whose exceptions skip or end a test."""


def ends_a_test(error: BaseException) -> bool:
    """Whether an exception is no error, but skips or ends a test, or ends a run or a process."""
    package = type(error).__module__.partition(".")[0]
    return not isinstance(error, Exception) or package in OF_TEST_RUNNERS


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings of the code under test, which the caller's warning filters could turn into exceptions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def first_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its text, shortened to 160 characters."""
    name = str(type.__dict__["__name__"].__get__(type(error)))  # a metaclass may raise for `__name__`
    try:
        text = str.splitlines(str.strip(str(error)))  # its text may be of a subclass of str
    except ENDS:
        raise
    except BaseException:
        text = []
    return safe(f"{name}: {_shortened(text[0])}" if text else name)


def _shortened(text: str) -> str:
    """At most 160 characters of a text; of one long word the beginning."""
    short = shorten(text[:MOST_READ], 160, placeholder=" ...")
    return f"{text[:156]} ..." if short.strip() == "..." else short


def attribute(thing: object, name: str, default: Any = None) -> Any:
    """An attribute of an object of the code under test; the default if reading it raises any exception."""
    try:
        return getattr(thing, name, default)
    except ENDS:
        raise
    except BaseException:
        return default
