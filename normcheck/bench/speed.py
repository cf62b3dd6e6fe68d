"""The question of speed as a whole: shapes, arms, verdict, and what the record keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from normcheck.adapters.base import Subject
from normcheck.adapters.load import quiet
from normcheck.bench.baselines import fused
from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, Budget, Measured, compare
from normcheck.bench.timing import PASSES, RefusedError, Timed, validate, warmed
from normcheck.case import Case
from normcheck.checks.base import output_within, truth_of
from normcheck.errors import CallError
from normcheck.recipes import Draw, values

__all__ = ["SLOWER", "RefusedError"]

FIRST = ("value", "finite", "input-gradient", "parameter-gradients")
"""Checks that must hold before anything is timed."""

ROUNDS = 100
"""Calls in the table of pytest-benchmark."""

SHAPES = ((1, 768), (7, 1024), (512, 768), (512, 4096))
"""Sets of entries that share a statistic, and entries of each."""

PLAIN = Budget(seconds=2.0)


@dataclass(frozen=True, slots=True)
class Question:
    """A shape and a pass. sets: how many share nothing; n: entries of each."""

    sets: int
    n: int
    part: str
    format: str = "float32"

    def __str__(self) -> str:
        return f"{self.sets}x{self.n}-{self.format}-{self.part}"


GRID = tuple(Question(*shape, part) for shape in SHAPES for part in PASSES)


def case_of(found: Subject, question: Question) -> Case:
    """Ordinary data of that shape: of unit scale, no hard rows, as a kernel meets it in a network."""
    draw = Draw(n=question.n, sets=question.sets, rank=found.domain.ranks[0], format=question.format)
    case = values(found.normalizer, draw)
    x = np.random.default_rng(0).standard_normal(case.x.shape)
    return case.but(x=case.format.round(x))


def right(found: Subject, case: Case, y: np.ndarray[Any, Any]) -> bool:
    """Whether an output is within the bound of correct ones."""
    return output_within(found, truth_of(found, case), y, "timed").holds


def measure(found: Subject, question: Question, limit: float, budget: Budget = PLAIN) -> Measured:
    """Time a subject beside torch's own function of the kind.

    Raises `CallError` where there is nothing to time, `RefusedError` where the time would mean nothing.
    """
    with quiet():
        other = fused(found.normalizer.name)
        if other is None:
            raise CallError(f"torch has no function of its own for {found.normalizer.name}")
        case = case_of(found, question)
        one, base = Timed(found, case, question.part), Timed(other, case, question.part, 1)
        for arm in (one, base):
            warmed(arm)
        measured = compare(one, base, limit, budget)
        validate(one, lambda of, y: right(found, of, y))
    return measured


def table(benchmark: Any, found: Subject, question: Question, measured: Measured) -> None:
    """Time the subject once more through the fixture of pytest-benchmark, so that it can be saved and compared."""
    benchmark.group = str(question)
    benchmark.extra_info.update(record(question, measured, None))
    timed = Timed(found, case_of(found, question), question.part, 2)
    with quiet():
        benchmark.pedantic(timed.run, setup=lambda: ((timed.ready(),), {}), rounds=ROUNDS, warmup_rounds=3)


def record(question: Question, measured: Measured, limit: float | None) -> dict[str, Any]:
    """One entry of the list `speed` in the run's record; times in seconds."""
    return {
        "sets": question.sets, "n": question.n, "pass": question.part, "format": question.format,
        "device": "cpu", "threads": torch.get_num_threads(), "baseline": "fused", "limit": limit, **measured.record(),
    }  # fmt: skip


def said(question: Question, measured: Measured) -> str:
    """The result in one line."""
    r = measured.ratio
    why = f" ({measured.reason})" if measured.verdict == INCONCLUSIVE and measured.reason else ""
    return (
        f"{question}: {r.value:.2f} times torch's fused function, [{r.low:.2f}, {r.high:.2f}] from {r.pairs} pairs, "
        f"{1e6 * measured.seconds:.0f} us: {measured.verdict}{why}"
    )
