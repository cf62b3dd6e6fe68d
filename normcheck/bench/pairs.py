"""The paired ratio: implementation and baseline take turns in one process, and a verdict needs a confidence interval.

One repetition has new storage for every arm, allocated in random order, and rounds in which every arm is called once,
again in random order. Its ratio compares the tenth percentiles of the arms' times: noise only ever slows, and a period
of noise that is longer than a repetition slows all arms alike. The interval is Student's over repetitions, which are
independent in their storage and in the noise they meet. It is not over pairs of calls: these share the addresses of
their data, which alone make a function some percent slower than itself, and are neighbors in time. Arms of one function
differ only in what a run binds once, for which a budget has its resolution. A second ratio compares medians: a function
that is quick in one call of ten only is slow.

The clock and the functions used for statistics are bound when this module is imported, which is before any
implementation is imported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.bench.student import quantile
from normcheck.core.errors import CallError

now = time.perf_counter
_generator, _exp, _log, _sqrt = np.random.default_rng, math.exp, math.log, math.sqrt

SLOWER, WITHIN, INCONCLUSIVE, MEASURED = "slower", "within", "inconclusive", "measured"

Arm = Callable[[], float]
"""Prepares one call, makes it, and returns how long the call alone took, in seconds."""

Make = Callable[[np.random.Generator], Sequence[Arm]]
"""Makes the arms of one repetition in new storage: the implementation, the baseline, the baseline again, and others."""

TENTH_QUANTILE, MEDIAN_QUANTILE = 0.1, 0.5
"""Quantiles of an arm's times in a repetition: nearly without noise, and the time of an ordinary call."""

FEWEST_ROUNDS = 3
"""The least number of rounds in a repetition, however long a call takes: a quantile needs several times."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of one arm over that of another, with its interval over repetitions."""

    value: float
    low: float
    high: float
    repetitions: int

    @property
    def contains_one(self) -> bool:
        """Whether the interval contains 1."""
        return self.low <= 1.0 <= self.high

    @property
    def relative_half_width(self) -> float:
        """Half the width of the interval, relative to the value."""
        return (self.high - self.low) / (2.0 * self.value)

    def record(self) -> dict[str, Any]:
        """Keys: value, low, high, repetitions."""
        return {"value": self.value, "low": self.low, "high": self.high, "repetitions": self.repetitions}


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after enough repetitions with an interval that decides, or out of time.

    seconds: for one measurement; a confirmation may take as many again, and neither ends before `least` repetitions.
    rounds: the most in one repetition. least, most: number of repetitions; with fewer, Student's interval is wide.
    precision: half the relative width of an interval that is narrow enough for a verdict. finest: half the relative
    width at which an interval that still contains the limit is left inconclusive: it is then narrower than the
    resolution, so that more repetitions would not decide. risk: the probability that an interval misses the true ratio,
    over all looks at it: at most one wrong verdict in 500.
    resolution: ratios that are nearer to a limit are not distinguished from it. Two bindings of one function, whose
    Python objects keep their addresses for a whole run, were found to differ by 0.75 % of a call of 30 us.
    """

    seconds: float = 4.0
    rounds: int = 40
    least: int = 8
    most: int = 64
    precision: float = 0.02
    finest: float = 0.004
    risk: float = 0.002
    resolution: float = 0.01

    def above(self, ratio: Ratio, limit: float) -> bool:
        """Whether a ratio lies above a limit by more than chance and addresses explain."""
        return ratio.low > limit * (1.0 + self.resolution)

    def below(self, ratio: Ratio, limit: float) -> bool:
        """Whether a ratio lies below a limit by more than chance and addresses explain."""
        return ratio.high * (1.0 + self.resolution) <= limit

    @property
    def confidence(self) -> float:
        """Of one interval: both ratios together, over all looks, miss with probability `risk` at most (Bonferroni)."""
        looks = 1 + math.ceil(math.log2(self.most / self.least))
        return 1.0 - self.risk / (2 * looks)


@dataclass(frozen=True, slots=True)
class PairedTiming:
    """The result of one comparison.

    ratio: of tenth percentiles, as `seconds` and `baseline_seconds` are. typical: of medians. control: the baseline
    over itself. further: the implementation over each of the other arms.
    """

    verdict: str
    ratio: Ratio
    typical: Ratio
    control: Ratio
    seconds: float
    baseline_seconds: float
    further: tuple[Ratio, ...] = ()
    reason: str = ""
    confirmed: bool = False

    def record(self) -> dict[str, Any]:
        """Keys: verdict, reason, confirmed, ratio, typical, control (as `Ratio.record`), seconds, baseline_seconds."""
        return {
            "verdict": self.verdict, "reason": self.reason, "confirmed": self.confirmed,
            "ratio": self.ratio.record(), "typical": self.typical.record(), "control": self.control.record(),
            "seconds": self.seconds, "baseline_seconds": self.baseline_seconds,
        }  # fmt: skip


def ratio_interval(logs: Sequence[float], confidence: float) -> Ratio:
    """The ratio whose logarithms were measured in a few repetitions: their mean, with Student's interval."""
    count = len(logs)
    mean = sum(logs) / count
    spread = _sqrt(sum((one - mean) ** 2 for one in logs) / (count - 1))
    half = quantile(count - 1, confidence) * spread / _sqrt(count)
    return Ratio(_exp(mean), _exp(mean - half), _exp(mean + half), count)


LogTimes = tuple[float, float]
"""Logarithms of the tenth percentile and of the median of one arm's times in one repetition."""


def _quantiles(times: Sequence[float]) -> LogTimes:
    """The quantiles of one arm's times. Raises `CallError` if one is not positive, since the clock is then broken."""
    ordered = sorted(times)
    if not ordered[0] > 0.0:
        raise CallError("a call took no time: the clock is too coarse, or it was tampered with")
    return _log(ordered[int(TENTH_QUANTILE * len(ordered))]), _log(ordered[int(MEDIAN_QUANTILE * len(ordered))])


def _repetition(arms: Sequence[Arm], rounds: int, rng: np.random.Generator) -> list[LogTimes]:
    """The times of each arm, from rounds in which each is called once."""
    times: list[list[float]] = [[] for _ in arms]
    for _ in range(rounds):
        for arm in rng.permutation(len(arms)):
            times[arm].append(arms[arm]())
    return [_quantiles(one) for one in times]


def _affordable_rounds(done: int, count: int, spent: float, budget: Budget) -> int:
    """The number of rounds with which the least number of repetitions fits into the rest of the budget.

    done: rounds in `count` repetitions so far, in `spent` seconds. Computed anew each time, as a machine may become
    busy.
    """
    lacking = budget.least - count
    share = (budget.seconds - spent) / lacking if lacking > 0 else budget.seconds / budget.least
    return max(FEWEST_ROUNDS, min(budget.rounds, int(share * done / max(spent, 1e-9))))


def _timing_of(logs: Sequence[Sequence[LogTimes]], budget: Budget) -> PairedTiming:
    """The ratios of all repetitions, without a verdict."""

    def over(one: int, other: int, which: int = 0) -> Ratio:
        return ratio_interval([row[one][which] - row[other][which] for row in logs], budget.confidence)

    seconds = [_exp(sorted(row[arm][0] for row in logs)[len(logs) // 2]) for arm in (0, 1)]
    others = tuple(over(0, arm) for arm in range(3, len(logs[0])))
    return PairedTiming(MEASURED, over(0, 1), over(0, 1, 1), over(1, 2), seconds[0], seconds[1], others)


def _sample(
    make: Make, limit: float | None, budget: Budget, clock: Callable[[], float], rng: np.random.Generator
) -> PairedTiming:
    """Repetitions until they decide.

    They are evaluated each time their number has doubled: few looks, so that looking costs little confidence.
    """
    logs: list[list[LogTimes]] = []
    started, look, done = clock(), budget.least, 0
    while True:
        arms = make(rng)
        if not done:
            started, done = clock(), 1
            for arm in arms:  # a first round, which only measures how long a round takes
                arm()
        rounds = _affordable_rounds(done, len(logs), clock() - started, budget)
        logs.append(_repetition(arms, rounds, rng))
        done += rounds
        spent = len(logs) >= budget.most or (len(logs) >= budget.least and clock() - started > budget.seconds)
        if len(logs) < look and not spent:
            continue
        found = _timing_of(logs, budget)
        if spent or _precise_enough(found, limit, budget):
            return found
        look *= 2


def _precise_enough(found: PairedTiming, limit: float | None, budget: Budget) -> bool:
    decided = limit is None or _verdict(found, limit, budget) != INCONCLUSIVE
    return found.ratio.relative_half_width <= (budget.precision if decided else budget.finest)


def _verdict(found: PairedTiming, limit: float, budget: Budget) -> str:
    """The verdict of both ratios against a limit: "slower" needs one above it, "within" needs both below it."""
    if budget.above(found.ratio, limit) or budget.above(found.typical, limit):
        return SLOWER
    return WITHIN if budget.below(found.ratio, limit) and found.typical.value <= limit else INCONCLUSIVE


def compare(
    make: Make,
    limit: float | None = 1.0,
    budget: Budget = Budget(),  # a frozen value
    clock: Callable[[], float] = now,
    seed: int | None = None,
) -> PairedTiming:
    """Whether an implementation takes more than `limit` times as long as its baseline.

    Verdict "slower": the interval of a ratio lies above the limit, and so does one of a confirmation in new
    repetitions. "within": the interval lies below the limit, and so does the ratio of medians. "inconclusive": the
    interval contains the limit or comes too close to it, the confirmation disagreed, or the control (baseline over
    baseline) does not contain 1. "measured": there is no limit. seed: of the random order; None draws a different one
    each time. Raises `CallError` for a clock that stands still.
    """
    rng = _generator(seed)
    first = _with_verdict(_sample(make, limit, budget, clock, rng), limit, budget)
    if first.verdict != SLOWER:
        return first
    again = _with_verdict(_sample(make, limit, budget, clock, rng), limit, budget)
    if again.verdict == SLOWER:
        return replace(again, confirmed=True)
    reason = again.reason or "slower at first, and not when measured again"
    return replace(again, verdict=INCONCLUSIVE, reason=reason)


def _with_verdict(found: PairedTiming, limit: float | None, budget: Budget) -> PairedTiming:
    if not found.control.contains_one:
        off = 100.0 * (found.control.value - 1.0)
        return replace(found, verdict=INCONCLUSIVE, reason=f"the baseline differs from itself by {off:.1f} %")
    if limit is None:
        return found
    verdict = _verdict(found, limit, budget)
    reason = f"too near to {limit:g} to be distinguished from it" if verdict == INCONCLUSIVE else ""
    return replace(found, verdict=verdict, reason=reason)
