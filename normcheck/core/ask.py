"""Ask one check of one subject on a list of draws, and fold the answers into an outcome. No hypothesis here."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from normcheck.core.check import Check
from normcheck.core.errors import CallError
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import encode
from normcheck.core.result import FAILED, INCONCLUSIVE, PASSED, SKIPPED, WITNESS, Comparison, Finding, Outcome, merge
from normcheck.core.space import Pick
from normcheck.core.subject import BoundSubject


def run_case(subject: BoundSubject, check: Check, draw: Any) -> tuple[Any, Comparison]:
    """One case and its comparison; an exception of the implementation is a law that does not hold."""
    case = check.space.recipe(subject.entry, draw)
    try:
        return case, check.ask(subject, case)
    except CallError as error:
        return case, Comparison("an ordinary input is answered", 1, math.inf, math.inf, 0.0, detail=str(error))


class Fold:
    """Comparisons of one check as they come in: counts, shares, facts, and the finding if there is one."""

    def __init__(self, subject: BoundSubject, check: Check) -> None:
        self.subject, self.check = subject, check
        self.compared, self.bound_ratio = 0, 0.0
        self.metrics: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.finding: Finding | None = None
        self.witnessed = False
        self.best: tuple[Any, Any, Comparison] | None = None  # nearest to a witness
        self.started = time.perf_counter()

    def add(self, draw: Any, case: Any, comparison: Comparison) -> bool:
        """Take a comparison in; whether it breaks the law."""
        self.compared += comparison.compared
        self.metrics = merge((self.metrics, comparison.metrics))
        self.refused |= comparison.refused
        self.notes |= comparison.notes
        if comparison.seeks:
            # A NaN or an exception is no witness: what moved must be a number.
            self.witnessed |= comparison.bound_ratio >= WITNESS and math.isfinite(comparison.observed)
            if comparison.compared and (self.best is None or comparison.bound_ratio > self.best[2].bound_ratio):
                self.best = (draw, case, comparison)
            return False
        self.bound_ratio = max(self.bound_ratio, comparison.bound_ratio)
        if comparison.holds:
            return False
        self.finding = finding(self.check, draw, case, comparison)
        return True

    def outcome(self) -> Outcome:
        """The verdict of the check."""
        found = self.finding
        if not self.witnessed and self.best is not None and found is None:
            found = finding(self.check, *self.best)
        status = FAILED if found is not None else PASSED if self.compared else SKIPPED if self.refused else INCONCLUSIVE
        why = "" if self.compared else next(iter(self.refused.values()), "nothing could be compared")
        return Outcome(
            self.subject.entry.name, self.subject.name, self.check.name, status, self.compared, self.bound_ratio,
            self.metrics, found, why, seconds=time.perf_counter() - self.started, absent=self.refused,
            notes=self.notes,
        )  # fmt: skip


def finding(check: Check, draw: Any, case: Any, comparison: Comparison) -> Finding:
    return Finding(
        check.name, comparison.law, comparison.observed, comparison.allowed, comparison.where, case.describe(),
        check.source, comparison.detail, encode(check.name, draw),
    )  # fmt: skip


def draws(subject: BoundSubject, check: Check, count: int, seed: int) -> Iterator[Any]:
    """Draws from a plain generator: what the kill matrix uses, where nothing needs to be shrunk."""
    rng = np.random.default_rng(seed)
    pick: Pick = lambda options: options[int(rng.integers(len(options)))]  # a value of type Pick
    for _ in range(count):
        yield check.space.sample(subject, pick)


def run_check(subject: BoundSubject, check: Check, some: Iterable[Any]) -> Outcome:
    """Ask on every draw until the law breaks, or until a witness is found."""
    fold = Fold(subject, check)
    with quiet():
        for draw in some:
            if fold.add(draw, *run_case(subject, check, draw)) or fold.witnessed:
                break
    return fold.outcome()
