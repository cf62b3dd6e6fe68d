"""Run one check on one subject over a sequence of draws, and combine the comparisons into an outcome.

The search with the library hypothesis is part of the engine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from normcheck.core.check import Check
from normcheck.core.contract import shape_words
from normcheck.core.errors import IN_BACKWARD, CallError, UnsuitedError
from normcheck.core.foreign_code import quiet
from normcheck.core.kept import keeping
from normcheck.core.replay import encode
from normcheck.core.result import (
    FAILED,
    INCONCLUSIVE,
    PASSED,
    SKIPPED,
    WITNESS,
    CheckWarning,
    Comparison,
    Finding,
    Outcome,
    conviction,
    merge,
)
from normcheck.core.space import Pick
from normcheck.core.subject import BoundSubject

EXCEPTION = "an ordinary input raises no exception"
"""The law that an implementation breaks which raises in a check."""

_keeping = lru_cache(maxsize=256)(keeping)
"""A recipe that keeps its cases: checks and implementations have many draws in common."""


def run_case(subject: BoundSubject, check: Check, draw: Any) -> tuple[Any, Comparison]:
    """The case of a draw and its comparison; an exception raised by the implementation counts as a violated law."""
    case = _keeping(check.space.recipe)(subject.entry, draw)
    try:
        return case, check.ask(subject, case)
    except CallError as error:
        some = subject.contract.sizes == "some" and IN_BACKWARD not in error.reason
        if some or isinstance(error, UnsuitedError):
            return case, Comparison(EXCEPTION, 0, 0.0, refused={"inputs of some sizes": error.reason})
        return case, Comparison(EXCEPTION, 1, math.inf, math.inf, 0.0, detail=str(error))


class Fold:
    """Accumulates the comparisons of one check: counts, the largest bound ratio, metrics, and the finding if any."""

    def __init__(self, subject: BoundSubject, check: Check) -> None:
        self.subject, self.check = subject, check
        self.compared, self.bound_ratio = 0, 0.0
        self.metrics: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.warnings: dict[str, CheckWarning] = {}
        self.finding: Finding | None = None  # on the last case, the smallest after shrinking
        self.telling: Finding | None = None  # on the case that convinces most
        self.input_shapes: dict[str, None] = {}
        self.witnessed = False
        self.best: tuple[Any, Any, Comparison] | None = None  # the comparison nearest to a witness
        self.started = time.perf_counter()

    def add(self, draw: Any, case: Any, comparison: Comparison) -> bool:
        """Add a comparison. Returns whether it violates the law."""
        self.compared += comparison.compared
        given = getattr(draw, "input_shape", ())  # only the draws of families that take the shapes of a contract
        if given and comparison.compared:
            self.input_shapes[shape_words(given)] = None
        self.metrics = merge((self.metrics, comparison.metrics))
        self.refused |= comparison.refused
        self.notes |= comparison.notes
        self.warnings = {warning.name: warning for warning in comparison.warnings} | self.warnings
        if comparison.seeks:
            # NaN or an exception is not a witness: the output must have changed by a finite amount.
            self.witnessed |= comparison.bound_ratio >= WITNESS and math.isfinite(comparison.observed)
            if comparison.compared and (self.best is None or comparison.bound_ratio > self.best[2].bound_ratio):
                self.best = (draw, case, comparison)
            return False
        self.bound_ratio = max(self.bound_ratio, comparison.bound_ratio)
        if comparison.holds:
            return False
        self.finding = finding(self.check, draw, case, comparison)
        if self.telling is None or conviction(self.finding) > conviction(self.telling):
            self.telling = self.finding
        return True

    def outcome(self) -> Outcome:
        """The outcome of the check, from all comparisons so far."""
        found = self._shown()
        if not self.witnessed and self.best is not None and found is None:
            found = not_found(self.check, *self.best)
        status = FAILED if found is not None else PASSED if self.compared else SKIPPED if self.refused else INCONCLUSIVE
        why = "" if self.compared else next(iter(self.refused.values()), "nothing could be compared")
        return Outcome(
            self.subject.entry.name, self.subject.name, self.check.name, status, self.compared, self.bound_ratio,
            self.metrics, found, why, seconds=time.perf_counter() - self.started, absent=self.refused,
            notes=self.notes, warnings=tuple(self.warnings.values()), input_shapes=tuple(self.input_shapes),
        )  # fmt: skip

    def _shown(self) -> Finding | None:
        """The finding on the most telling case, with the id of the smallest."""
        if self.finding is None or self.telling is None:
            return self.finding
        shown, smallest = self.telling, self.finding.replay
        return replace(shown, smallest="" if smallest == shown.replay else smallest)


def finding(check: Check, draw: Any, case: Any, comparison: Comparison) -> Finding:
    """The finding of a comparison that violates its law, with the text that replays its case."""
    return Finding(
        check.name, comparison.law, comparison.observed, comparison.allowed, comparison.where, case.describe(),
        check.source, comparison.detail, encode(check.name, draw),
    )  # fmt: skip


def not_found(check: Check, draw: Any, case: Any, nearest: Comparison) -> Finding:
    """The finding of a sought counterexample that no case is, on the case nearest to one; in words, without numbers."""
    size = (
        f"{nearest.bound_ratio:.3g} times what rounding explains" if math.isfinite(nearest.observed) else "not finite"
    )
    words = f"no counterexample: the largest change is {size}, and one shows from {WITNESS:g} times on"
    detail = f"{words}; {nearest.detail}" if nearest.detail else words
    return finding(check, draw, case, replace(nearest, observed=0.0, allowed=0.0, where=(), detail=detail))


def draws(subject: BoundSubject, check: Check, count: int, seed: int) -> Iterator[Any]:
    """`count` draws from a seeded random generator, for uses that need no shrinking, such as the kill matrix."""
    rng = np.random.default_rng(seed)
    pick: Pick = lambda options: options[int(rng.integers(len(options)))]  # a value of type Pick
    for _ in range(count):
        yield check.space.sample(subject, pick)


def run_check(subject: BoundSubject, check: Check, samples: Iterable[Any]) -> Outcome:
    """Run the check on each draw until one violates the law, or until a witness is found."""
    fold = Fold(subject, check)
    with quiet():
        for draw in samples:
            if fold.add(draw, *run_case(subject, check, draw)) or fold.witnessed:
                break
    return fold.outcome()
