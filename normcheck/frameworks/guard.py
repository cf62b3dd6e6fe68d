"""Calls of the code under test: every exception becomes a `CallError` that names the target and the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from normcheck.core.errors import CallError
from normcheck.core.foreign_code import first_line
from normcheck.normalizers.case import Case

IN_BACKWARD = " in its backward"
"""Appended to the description of an exception that was raised in a backward pass."""


def guarded(function: Callable[[], Any], case: Case, name: str, doing: str = "") -> Any:
    """The return value of `function`. Raises `CallError`, in one sentence, for every exception that it raises.

    name: of the implementation. doing: the pass or step, such as " in its backward", appended to the sentence.
    """
    try:
        return function()
    except CallError:
        raise
    except (Exception, SystemExit) as error:
        shape = "x".join(map(str, case.x.shape))
        reason = f"raised {first_line(error)}{doing}"
        raise CallError(f"{name} {reason} (a {shape} {case.format.name} input)", reason) from error
