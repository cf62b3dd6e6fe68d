"""The paired ratio: implementation and baseline take turns in one process, and a verdict needs a confidence interval.

One repetition has storage of its own for every arm, made in an order that is drawn, and rounds in which every arm is
called once, in an order that is drawn. Its ratio is that of the times that a tenth of an arm's calls stay below:
noise only ever slows, and a spell of it that is longer than a repetition slows all arms alike. The interval is
Student's over repetitions (independent by their storage and by the spell they met), not over pairs of calls: these
share the addresses of what they work on, which alone make a function up to some percent slower than itself, and are
neighbors in time. Arms of one function are drawn alike but for what a run binds once, which is what the resolution of
a budget is for. A second ratio is that of the medians: a function that is quick in one call of ten only is slow.

Clock and statistics are bound here, when the module is imported: before any implementation is.
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
"""Makes ready, makes one call, and returns how long the call alone took, in seconds."""

Make = Callable[[np.random.Generator], Sequence[Arm]]
"""Arms for one repetition, in new storage: the implementation, the baseline, the baseline again, and any others."""

TENTH, HALF = 0.1, 0.5
"""Quantiles of an arm's times in a repetition: without noise, and as most calls are."""

FEWEST = 3
"""Rounds of a repetition at the least, where calls take long."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Time of one arm over that of another, with its interval over repetitions."""

    value: float
    low: float
    high: float
    repetitions: int

    @property
    def straddles(self) -> bool:
        """Whether the interval holds 1."""
        return self.low <= 1.0 <= self.high

    @property
    def half(self) -> float:
        """Half the relative width of the interval."""
        return (self.high - self.low) / (2.0 * self.value)

    def record(self) -> dict[str, Any]:
        """Keys: value, low, high, repetitions."""
        return {"value": self.value, "low": self.low, "high": self.high, "repetitions": self.repetitions}


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: enough repetitions and an interval that decides, or out of time.

    seconds: of one measurement by the clock; a confirmation may take as many again, and neither ends before `least`
    repetitions. precision: half the width of an interval that is narrow enough, relative; finest: so narrow that one
    which still holds the limit is left at that. risk: of an interval that misses the truth, over all looks at it.
    resolution: ratios nearer to a limit are not told from it. Two bindings of one function, whose Python objects lie
    where they lie for a whole run, were found to differ by 0.75 % of a call of 30 us.
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
        """Whether a ratio lies above a limit, beyond what could be chance or place."""
        return ratio.low > limit * (1.0 + self.resolution)

    def below(self, ratio: Ratio, limit: float) -> bool:
        """Whether it lies below, likewise."""
        return ratio.high * (1.0 + self.resolution) <= limit

    @property
    def confidence(self) -> float:
        """Of one interval, so that both of all looks together miss with the risk at most (Bonferroni)."""
        looks = 1 + math.ceil(math.log2(self.most / self.least))
        return 1.0 - self.risk / (2 * looks)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one comparison came to.

    ratio: of what a tenth of the calls stay below, as seconds are. typical: of medians. control: baseline over
    baseline. beside: the implementation over each of the other arms.
    """

    verdict: str
    ratio: Ratio
    typical: Ratio
    control: Ratio
    seconds: float
    baseline_seconds: float
    beside: tuple[Ratio, ...] = ()
    reason: str = ""
    confirmed: bool = False

    def record(self) -> dict[str, Any]:
        """Keys: verdict, reason, confirmed, ratio, typical, control (as `Ratio.record`), seconds, baseline_seconds."""
        return {
            "verdict": self.verdict, "reason": self.reason, "confirmed": self.confirmed,
            "ratio": self.ratio.record(), "typical": self.typical.record(), "control": self.control.record(),
            "seconds": self.seconds, "baseline_seconds": self.baseline_seconds,
        }  # fmt: skip


def interval(logs: Sequence[float], confidence: float) -> Ratio:
    """The ratio whose logarithm was measured in a few repetitions: their mean, with Student's interval."""
    count = len(logs)
    mean = sum(logs) / count
    spread = _sqrt(sum((one - mean) ** 2 for one in logs) / (count - 1))
    half = quantile(count - 1, confidence) * spread / _sqrt(count)
    return Ratio(_exp(mean), _exp(mean - half), _exp(mean + half), count)


Times = tuple[float, float]
"""Logarithms of the tenth's and the median's time of one arm in one repetition."""


def _quantiles(times: Sequence[float]) -> Times:
    """Of the times of one arm. Raises `CallError` where one is not positive: that clock is broken."""
    ordered = sorted(times)
    if not ordered[0] > 0.0:
        raise CallError("a call took no time: the clock is too coarse, or it was tampered with")
    return _log(ordered[int(TENTH * len(ordered))]), _log(ordered[int(HALF * len(ordered))])


def _repetition(arms: Sequence[Arm], rounds: int, rng: np.random.Generator) -> list[Times]:
    """The times of each arm, from rounds in which each is called once."""
    times: list[list[float]] = [[] for _ in arms]
    for _ in range(rounds):
        for arm in rng.permutation(len(arms)):
            times[arm].append(arms[arm]())
    return [_quantiles(one) for one in times]


def _rounds(done: int, count: int, spent: float, budget: Budget) -> int:
    """So many rounds that the least number of repetitions fits into what is left of the budget.

    done: rounds in `count` repetitions so far, in `spent` seconds. A machine may grow busy meanwhile.
    """
    lacking = budget.least - count
    share = (budget.seconds - spent) / lacking if lacking > 0 else budget.seconds / budget.least
    return max(FEWEST, min(budget.rounds, int(share * done / max(spent, 1e-9))))


def _ratios(logs: Sequence[Sequence[Times]], budget: Budget) -> Measured:
    """What repetitions say, before a verdict."""

    def over(one: int, other: int, which: int = 0) -> Ratio:
        return interval([row[one][which] - row[other][which] for row in logs], budget.confidence)

    seconds = [_exp(sorted(row[arm][0] for row in logs)[len(logs) // 2]) for arm in (0, 1)]
    others = tuple(over(0, arm) for arm in range(3, len(logs[0])))
    return Measured(MEASURED, over(0, 1), over(0, 1, 1), over(1, 2), seconds[0], seconds[1], others)


def _sampled(
    make: Make, limit: float | None, budget: Budget, clock: Callable[[], float], rng: np.random.Generator
) -> Measured:
    """Repetitions until they decide.

    Looks each time their number has doubled: few looks, so that looking costs little confidence.
    """
    logs: list[list[Times]] = []
    started, look, done = clock(), budget.least, 0
    while True:
        arms = make(rng)
        if not done:
            started, done = clock(), 1
            for arm in arms:  # a round that only tells how long one takes
                arm()
        rounds = _rounds(done, len(logs), clock() - started, budget)
        logs.append(_repetition(arms, rounds, rng))
        done += rounds
        spent = len(logs) >= budget.most or (len(logs) >= budget.least and clock() - started > budget.seconds)
        if len(logs) < look and not spent:
            continue
        found = _ratios(logs, budget)
        if spent or _settled(found, limit, budget):
            return found
        look *= 2


def _settled(found: Measured, limit: float | None, budget: Budget) -> bool:
    decided = limit is None or _decided(found, limit, budget) != INCONCLUSIVE
    return found.ratio.half <= (budget.precision if decided else budget.finest)


def _decided(found: Measured, limit: float, budget: Budget) -> str:
    """What both ratios say of a limit: one above it is enough; below it, both must be."""
    if budget.above(found.ratio, limit) or budget.above(found.typical, limit):
        return SLOWER
    return WITHIN if budget.below(found.ratio, limit) and found.typical.value <= limit else INCONCLUSIVE


def compare(
    make: Make,
    limit: float | None = 1.0,
    budget: Budget = Budget(),  # a frozen value
    clock: Callable[[], float] = now,
    seed: int | None = None,
) -> Measured:
    """Whether an implementation takes more than `limit` times as long as its baseline.

    "slower": the interval of a ratio lies above the limit, and so does one of a confirmation in new repetitions.
    "within": it lies below the limit, and so does the median's ratio. "inconclusive": it holds the limit or all but
    does, the confirmation disagreed, or the control (baseline over baseline) did not straddle 1. "measured": there is
    no limit. seed: None draws another order each time. Raises `CallError` for a clock that stands still.
    """
    rng = _generator(seed)
    first = _judged(_sampled(make, limit, budget, clock, rng), limit, budget)
    if first.verdict != SLOWER:
        return first
    again = _judged(_sampled(make, limit, budget, clock, rng), limit, budget)
    if again.verdict == SLOWER:
        return replace(again, confirmed=True)
    reason = again.reason or "slower at first, and not when measured again"
    return replace(again, verdict=INCONCLUSIVE, reason=reason)


def _judged(found: Measured, limit: float | None, budget: Budget) -> Measured:
    if not found.control.straddles:
        off = 100.0 * (found.control.value - 1.0)
        return replace(found, verdict=INCONCLUSIVE, reason=f"the baseline differs from itself by {off:.1f} %")
    if limit is None:
        return found
    verdict = _decided(found, limit, budget)
    reason = f"nearer to {limit:g} than can be told" if verdict == INCONCLUSIVE else ""
    return replace(found, verdict=verdict, reason=reason)
