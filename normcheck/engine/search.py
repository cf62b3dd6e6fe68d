"""Search for a counterexample, or for a witness, with hypothesis: the decisive draws first, then random ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from normcheck.core.ask import Fold, draws, run_case
from normcheck.core.check import Check
from normcheck.core.foreign_code import quiet
from normcheck.core.result import Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine.failing_cases import NOTHING, FailingCases
from normcheck.engine.strategies import draws_from


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look. seed: None searches the same draws each time; memory: what broke before is asked first."""

    examples: int
    seed: int | None = None
    memory: FailingCases = NOTHING


EFFORTS = {"quick": 0, "default": 12, "deep": 400}
"""Examples that hypothesis draws per property, beyond the decisive draws that every effort asks.

The kill matrix is made with the default's number: each fault that it holds is found with so many.
"""

PLAIN = 2
"""Random draws of an effort without hypothesis, which costs more than the questions where nothing is found."""

SHRINKING = 20
"""Examples with which a finding is looked for again, to be made small."""


def shared() -> FailingCases:
    """The example database of the Hypothesis profile that a project has loaded.

    That of Hypothesis' own profile, in a hidden folder, is left alone: nobody asked that it change what a run finds.
    """
    found = settings().database
    return NOTHING if found == settings.get_profile("default").database else FailingCases(found)


Ask = Callable[[Any], None]


class LawBrokenError(AssertionError):
    """Raised to hypothesis only; one class per check, so that distinct faults shrink apart."""


@lru_cache(maxsize=512)
def _broken(check: str) -> type[LawBrokenError]:
    return type(f"LawBroken_{check.replace('-', '_')}", (LawBrokenError,), {})


def _affordable(check: Check, examples: int) -> int:
    """Fewer random draws for a check whose questions are dear."""
    return int(examples / check.cost)


def search(subject: BoundSubject, check: Check, effort: Effort) -> Outcome:
    """Ask one check; on a broken law the smallest case that breaks it."""
    fold = Fold(subject, check)
    error = _broken(check.name)

    def ask(draw: Any) -> None:
        if fold.witnessed:
            return
        if fold.add(draw, *run_case(subject, check, draw)):
            raise error

    with quiet():
        with suppress(LawBrokenError):
            for draw in _always(subject, check, effort):
                ask(draw)
        examples = _affordable(check, effort.examples)
        if fold.finding is not None:
            examples = max(examples, 1 if check.cost == math.inf else SHRINKING)
        if examples and not fold.witnessed:
            before = fold.finding
            with suppress(LawBrokenError, Flaky):  # any other error is ours, and must not pass for a law that holds
                _searching(subject, check, examples, effort.seed)(ask)
            fold.finding = fold.finding or before  # the last and smallest failing case
    if fold.finding is not None:
        effort.memory.keep(subject, check, fold.finding.replay)
    return fold.outcome()


def _always(subject: BoundSubject, check: Check, effort: Effort) -> Iterator[Any]:
    """What broke the law before, the decisive draws, and where hypothesis draws none a few more."""
    yield from effort.memory.draws(subject, check)
    yield from check.space.explicit_examples(subject)
    if not effort.examples:
        yield from draws(subject, check, _affordable(check, PLAIN), effort.seed or 0)


def _searching(subject: BoundSubject, check: Check, examples: int, number: int | None) -> Callable[[Ask], None]:
    """Hypothesis, as it asks a function of draws."""

    def run(ask: Ask) -> None:
        test = given(draws_from(check.space, subject))(ask)
        test = settings(
            max_examples=examples,
            derandomize=number is None,
            database=None,  # it would keep bytes that mean something to one version of a strategy; we keep cases
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )(test)
        if number is not None:
            test = seed(number)(test)
        test()

    return run
