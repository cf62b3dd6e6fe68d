"""The part of a search that Hypothesis does: many draws, and a failing case made smaller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from normcheck.core.check import Check
from normcheck.core.subject import BoundSubject
from normcheck.engine.strategies import draws_from


class LawBrokenError(AssertionError):
    """Raised to Hypothesis only; one class for each check, because Hypothesis shrinks each type of exception apart."""


@lru_cache(maxsize=512)
def _broken(check: str) -> type[LawBrokenError]:
    return type(f"LawBroken_{check.replace('-', '_')}", (LawBrokenError,), {})


def search_by_hypothesis(
    subject: BoundSubject,
    check: Check,
    breaks: Callable[[Any], bool],
    examples: int,
    number: int | None,
    *,
    shrinks: bool,
) -> None:
    """Let Hypothesis call a function with draws; it shrinks those for which the function is true.

    breaks: whether a draw breaks the law of the check. number: the seed; None for the same draws in every run.
    """
    error = _broken(check.name)

    def ask(draw: Any) -> None:
        if breaks(draw):
            raise error

    test = given(draws_from(check.space, subject))(ask)
    test = settings(
        max_examples=examples,
        derandomize=number is None,
        database=None,  # its bytes depend on the version of a strategy; `FailingCases` stores replay ids
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(test)
    if number is not None:
        test = seed(number)(test)
    with suppress(LawBrokenError, Flaky):  # any other exception is a bug here, and must not look like a law that holds
        test()
