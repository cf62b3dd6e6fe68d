"""Calls of the code under test: every exception becomes a `CallError` that names the target and the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from normcheck.core.errors import RAISED, CallError, NormcheckError, UsageError
from normcheck.core.floats import Array, Format
from normcheck.core.foreign_code import ENDS, ENDS_ITS_TEST, ends_a_test, first_line
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Call


class Shown(Protocol):
    """What a sentence says of a case."""

    @property
    def x(self) -> Array: ...

    @property
    def format(self) -> Format: ...


@contextmanager
def calling(case: Shown, name: str, doing: str = "") -> Iterator[None]:
    """A call of the code under test. Raises `CallError`, in one sentence, for every exception that escapes from it.

    name: of the implementation. doing: the pass or step, such as " in its backward", appended to the sentence.
    """
    try:
        yield
    except (*ENDS, CallError):
        raise
    except UsageError as error:  # a layer that cannot be constructed for the sizes of this case
        raise CallError(str(error)) from error
    except BaseException as error:
        shape = "x".join(map(str, case.x.shape))
        reason = f"{RAISED} {first_line(error)}{doing}"
        sentence = f"{name} {reason} (a {shape} {case.format.name} input)"
        raise CallError(sentence, reason + ENDS_ITS_TEST * ends_a_test(error)) from error


def guarded(function: Callable[[], Any], case: Shown, name: str, doing: str = "") -> Any:
    """The return value of `function`, called as `calling` does."""
    with calling(case, name, doing):
        return function()


def failure(call: Call, case: Case, gradient: bool = False) -> str:
    """Why a call on a case raises `CallError`; empty if it does not."""
    try:
        call(case, gradient)
    except CallError as error:
        return error.reason
    return ""


@contextmanager
def binding(name: str) -> Iterator[None]:
    """Binding of a target: an exception that escapes from its code becomes a `UsageError`, in one sentence."""
    try:
        yield
    except (*ENDS, NormcheckError):
        raise
    except BaseException as error:
        raise UsageError(f"{name}: binding it raised {first_line(error)}") from error
