"""Search for a counterexample, or for a witness, with hypothesis: the decisive draws first, then random ones."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from normcheck.adapters.base import Bound
from normcheck.adapters.load import quiet
from normcheck.checks.base import Check
from normcheck.result import Outcome
from normcheck.strategies import draws_from
from normcheck.sweep import Fold, asked, draws


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look. seed: None searches the same draws each time."""

    examples: int
    seed: int | None = None


EFFORTS = {"quick": 0, "default": 12, "deep": 400}
"""Examples that hypothesis draws per property, beyond the decisive draws that every effort asks.

The kill matrix is made with the default's number: each fault that it holds is found with so many.
"""

PLAIN = 2
"""Random draws of an effort without hypothesis, which costs more than the questions where nothing is found."""

SHRINKING = 20
"""Examples with which a finding is looked for again, to be made small."""


class LawBrokenError(AssertionError):
    """Raised to hypothesis only; one class per check, so that distinct faults shrink apart."""


@lru_cache(maxsize=512)
def _broken(check: str) -> type[LawBrokenError]:
    return type(f"LawBroken_{check.replace('-', '_')}", (LawBrokenError,), {})


def _affordable(check: Check, examples: int) -> int:
    """Fewer random draws for a check whose questions are dear."""
    return int(examples / check.cost)


def search(subject: Bound, check: Check, effort: Effort) -> Outcome:
    """Ask one check; on a broken law the smallest case that breaks it."""
    fold = Fold(subject, check)
    error = _broken(check.name)

    def ask(draw: Any) -> None:
        if fold.witnessed:
            return
        if fold.add(draw, *asked(subject, check, draw)):
            raise error

    with quiet():
        try:
            for draw in check.space.always(subject):
                ask(draw)
            if not effort.examples:
                for draw in draws(subject, check, _affordable(check, PLAIN), effort.seed or 0):
                    ask(draw)
        except LawBrokenError:
            pass
        examples = _affordable(check, effort.examples)
        if fold.witnessed or not (examples or fold.finding):
            return fold.outcome()
        searching = settings(
            max_examples=examples
            if fold.finding is None
            else max(examples, 1 if check.cost == math.inf else SHRINKING),
            derandomize=effort.seed is None,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        test = given(draws_from(check.space, subject))(ask)
        test = searching(test)
        if effort.seed is not None:
            test = seed(effort.seed)(test)
        before = fold.finding
        with suppress(LawBrokenError, Flaky):  # any other error is ours, and must not pass for a law that holds
            test()  # the fold holds the finding of the last and smallest failing case
        fold.finding = fold.finding or before
    return fold.outcome()
