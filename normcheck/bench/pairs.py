"""The paired ratio: implementation and baseline alternate in one process, and a verdict needs a confidence interval.

Noise of a shared machine comes in spells longer than one call: neighbors in time share it, and their ratio does not
see it. The interval is a bootstrap over pairs of the median ratio: a median, because one call in a hundred is
preempted. numpy does it in five lines; scipy.stats.bootstrap would be a large dependency for those.

Clock and statistics are bound here, when the module is imported: before any implementation is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

now = time.perf_counter
_generator, _exp, _log = np.random.default_rng, math.exp, math.log
_array = np.array

SLOWER, WITHIN, INCONCLUSIVE = "slower", "within", "inconclusive"

Arm = Callable[[], float]
"""Makes ready, makes one call, and returns how long the call alone took, in seconds."""

RESAMPLES = 999
MOST = 4000
"""Rounds of one measurement at most: bounds the memory of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: enough pairs and an interval narrow enough, or out of time.

    confidence: of the two-sided interval. precision: half its width, relative. seconds: of one measurement by the
    clock; a confirmation may take as many again.
    """

    seconds: float = 4.0
    least: int = 30
    precision: float = 0.005
    confidence: float = 0.99


@dataclass(frozen=True, slots=True)
class Ratio:
    """Time of one arm over that of another: the median over pairs, with its interval."""

    value: float
    low: float
    high: float
    pairs: int

    @property
    def straddles(self) -> bool:
        """Whether the interval holds 1."""
        return self.low <= 1.0 <= self.high

    @property
    def half(self) -> float:
        """Half the relative width of the interval."""
        return (self.high - self.low) / (2.0 * self.value)

    def record(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "pairs": self.pairs}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one comparison came to. control: baseline over baseline, from the same rounds. seconds: median of a call."""

    verdict: str
    ratio: Ratio
    control: Ratio
    seconds: float
    baseline_seconds: float
    reason: str = ""
    confirmed: bool = False

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "verdict": self.verdict, "ratio": self.ratio.record(), "control": self.control.record(),
            "seconds": self.seconds, "baseline_seconds": self.baseline_seconds, "reason": self.reason,
            "confirmed": self.confirmed,
        }  # fmt: skip


def interval(above: Sequence[float], below: Sequence[float], confidence: float, seed: int = 0) -> Ratio:
    """The median of above / below, with a percentile bootstrap over pairs (Efron 1979).

    Times in seconds, positive, in pairs. Raises `ValueError` where a time is not positive: that clock is broken.
    """
    if not above or min(*above, *below) <= 0.0:
        raise ValueError("a call took no time: the clock is too coarse, or it was tampered with")
    logs = _array([_log(a / b) for a, b in zip(above, below, strict=True)])
    n = len(logs)
    drawn = logs[_generator(seed).integers(n, size=(RESAMPLES, n))]
    drawn.partition((n - 1) // 2, axis=1)
    medians = drawn[:, (n - 1) // 2].copy()
    medians.sort()
    tail = int((1.0 - confidence) / 2.0 * RESAMPLES)
    logs.sort()
    low, high = float(medians[tail]), float(medians[RESAMPLES - 1 - tail])
    return Ratio(_exp(float(logs[(n - 1) // 2])), _exp(low), _exp(high), n)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


@dataclass(frozen=True, slots=True)
class _Sample:
    ratio: Ratio
    control: Ratio
    seconds: float
    baseline: float


def _sampled(one: Arm, other: Arm, limit: float, budget: Budget, clock: Callable[[], float], seed: int) -> _Sample:
    """Rounds of the implementation and twice the baseline, in an order that is drawn anew each time.

    Looks at the interval each time the rounds have doubled: few looks, so that looking costs little confidence.
    """
    order = _generator(seed)
    arms = (one, other, other)
    times: tuple[list[float], ...] = ([], [], [])
    started, look = clock(), budget.least
    while True:
        for arm in order.permutation(3):
            times[arm].append(arms[arm]())
        count = len(times[0])
        spent = count >= budget.least and clock() - started > budget.seconds
        if count < look and not spent and count < MOST:
            continue
        ratio = interval(times[0], times[1], budget.confidence, seed)
        if spent or count >= MOST or _settled(ratio, limit, budget):
            control = interval(times[1], times[2], budget.confidence, seed + 1)
            return _Sample(ratio, control, _middle(times[0]), _middle(times[1]))
        look *= 2


def _settled(ratio: Ratio, limit: float, budget: Budget) -> bool:
    return ratio.half <= budget.precision and (ratio.low > limit or ratio.high <= limit or limit == 1.0)


def compare(
    one: Arm,
    other: Arm,
    limit: float = 1.0,
    budget: Budget = Budget(),  # a frozen value
    clock: Callable[[], float] = now,
    seed: int = 0,
) -> Measured:
    """Whether one arm takes more than `limit` times as long as the other.

    "slower": the interval lies above the limit, and so does that of one confirmation with fresh rounds. "within": it
    lies at or below the limit. "inconclusive": it holds the limit, the confirmation disagreed, or the control
    (baseline over baseline) did not straddle 1.
    """
    first = _sampled(one, other, limit, budget, clock, seed)
    if first.ratio.low <= limit or not first.control.straddles:
        return _judged(first, limit)
    again = _judged(_sampled(one, other, limit, budget, clock, seed + 2), limit)
    if again.verdict == SLOWER:
        return Measured(SLOWER, again.ratio, again.control, again.seconds, again.baseline_seconds, "", confirmed=True)
    return Measured(INCONCLUSIVE, again.ratio, again.control, again.seconds, again.baseline_seconds,
                    again.reason or "slower at first, and not when measured again")  # fmt: skip


def _judged(found: _Sample, limit: float) -> Measured:
    verdict, reason = INCONCLUSIVE, f"the interval holds {limit:g}"
    if not found.control.straddles:
        reason = f"the baseline differs from itself by {100.0 * (found.control.value - 1.0):.1f} %"
    elif found.ratio.low > limit:
        verdict, reason = SLOWER, ""
    elif found.ratio.high <= limit:
        verdict, reason = WITHIN, ""
    return Measured(verdict, found.ratio, found.control, found.seconds, found.baseline, reason)
