"""Search for a case on which a law does not hold, or for a witness of a "no".

Explicit examples come first, then random ones. Hypothesis draws many, and makes a failing one smaller; few are drawn
by a seeded generator, since Hypothesis takes as long for a draw as a small case does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from normcheck.core.ask import Fold, draws, run_case
from normcheck.core.check import Check
from normcheck.core.foreign_code import quiet
from normcheck.core.result import Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine import smoke
from normcheck.engine.failing_cases import NOTHING, FailingCases
from normcheck.engine.smoke import SMOKE


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a search is. seed: None searches the same draws in every run; memory: cases to try first."""

    examples: int
    seed: int | None = None
    memory: FailingCases = NOTHING
    shrinks: bool = True  # whether a smaller failing case is searched for
    few: bool = False  # only the examples of the smoke effort


EFFORTS = {SMOKE: 0, "quick": 0, "default": 12, "deep": 400}
"""Random examples of a check, beyond the explicit ones that every effort runs; smoke runs a few of these.

The kill matrix is made with the number of the default effort: each of its faults is found with that many.
"""

LEAST, MANY = 2, 100
"""Random draws of every effort but smoke, and the number from which on Hypothesis makes them."""

SHRINKING = 20
"""Least number of examples with which a finding is shrunk."""


def shared() -> FailingCases:
    """The example database of the Hypothesis profile that a project has loaded.

    The one of Hypothesis' default profile, in a hidden folder, is not used: two runs of a project that has chosen no
    database must run the same cases.
    """
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is None:  # then nobody has loaded a profile
        return NOTHING
    found = hypothesis.settings().database
    return NOTHING if found == hypothesis.settings.get_profile("default").database else FailingCases(found)


def _affordable(check: Check, examples: int) -> int:
    """Fewer random draws for a check whose cases take long."""
    return int(examples / check.cost)


def search(subject: BoundSubject, check: Check, effort: Effort) -> Outcome:
    """Run one check; the finding, if there is one, has the smallest case on which the law does not hold."""
    fold = Fold(subject, check)

    def breaks(draw: Any) -> bool:
        return not fold.witnessed and fold.add(draw, *run_case(subject, check, draw))

    with quiet():
        any(map(breaks, _always(subject, check, effort)))
        examples = _affordable(check, effort.examples) if effort.examples >= MANY else 0
        if fold.finding is not None:
            examples = max(examples, 1 if check.cost == math.inf else SHRINKING) if effort.shrinks else 0
        if examples and not fold.witnessed:
            from normcheck.engine.hypothesis_search import search_by_hypothesis  # takes as long as twenty small checks

            before = fold.finding
            search_by_hypothesis(subject, check, breaks, examples, effort.seed, shrinks=effort.shrinks)
            fold.finding = fold.finding or before  # the last and smallest failing case
    if effort.few:
        fold.best = None  # that no witness is among a few cases is no finding
    if fold.finding is not None:
        effort.memory.keep(subject, check, fold.finding.replay)
    return fold.outcome()


def _always(subject: BoundSubject, check: Check, effort: Effort) -> Iterator[Any]:
    """Cases that failed before, the explicit examples, and random ones where Hypothesis draws none."""
    yield from effort.memory.draws(subject, check)
    if effort.few:
        yield from smoke.examples(subject, check)
        return
    yield from check.space.explicit_examples(subject)
    if effort.examples < MANY:
        yield from draws(subject, check, _affordable(check, max(effort.examples, LEAST)), effort.seed or 0)
