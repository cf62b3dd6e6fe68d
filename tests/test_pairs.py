"""The paired ratio on a simulated clock: noise of every kind, no real time."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest

from normcheck.bench.pairs import (
    INCONCLUSIVE,
    MEASURED,
    SLOWER,
    WITHIN,
    Arm,
    Budget,
    PairedTiming,
    compare,
    ratio_interval,
)
from normcheck.core.errors import CallError

QUICK = Budget()


class Machine:
    """A clock that only calls move: log-normal noise, spells of slowness, preemptions, places that cost some percent.

    placed: standard deviation of what the storage of one arm costs, in logarithms, drawn anew for each repetition.
    """

    def __init__(self, seed: int, placed: float = 0.01, *, noisy: bool = True) -> None:
        self.time, self.rng, self.calls, self.placed, self.noisy = 0.0, np.random.default_rng(seed), 0, placed, noisy

    def clock(self) -> float:
        return self.time

    def arm(self, seconds: Callable[[int], float]) -> Arm:
        cost = float(np.exp(self.placed * self.rng.standard_normal()))

        def call() -> float:
            self.calls += 1
            took = cost * seconds(self.calls)
            if self.noisy:
                spell = 1.6 if int(self.time * 7) % 3 == 0 else 1.0
                took *= spell * float(np.exp(0.08 * abs(self.rng.standard_normal())))
                took += 0.02 if self.rng.random() < 0.01 else 0.0
            self.time += took
            return took

        return call

    def compare(
        self, one: Callable[[int], float], limit: float | None = 1.0, other: float = 1e-3, budget: Budget = QUICK
    ) -> PairedTiming:
        return compare(
            lambda _: [self.arm(each) for each in (one, lambda _: other, lambda _: other, lambda _: 2 * other)],
            limit, budget, self.clock, seed=0,
        )  # fmt: skip


def verdicts(ratio: float, count: int) -> list[str]:
    return [Machine(seed).compare(lambda _: ratio * 1e-3).verdict for seed in range(count)]


def test_the_same_function_is_called_no_different() -> None:
    """Two hundred times, at most 1 % slower or faster."""
    assert verdicts(1.0, 200).count(INCONCLUSIVE) >= 198


def test_places_that_cost_much_are_no_difference() -> None:
    """Storage that makes a function 5 % slower than itself for a whole repetition widens the interval."""
    found = [Machine(seed, placed=0.05).compare(lambda _: 1e-3).verdict for seed in range(60)]

    assert found.count(INCONCLUSIVE) >= 59


def test_ten_percent_are_seen() -> None:
    assert verdicts(1.10, 60).count(SLOWER) >= 57


def test_five_percent_are_seen() -> None:
    assert verdicts(1.05, 60).count(SLOWER) >= 42


def test_within_the_limit_is_said() -> None:
    assert Machine(0).compare(lambda _: 1.2e-3, limit=1.5).verdict == WITHIN


def test_faster_is_within() -> None:
    found = Machine(0).compare(lambda _: 0.5e-3)

    assert found.verdict == WITHIN
    assert found.ratio.low < 0.5 < found.ratio.high


def test_a_ratio_at_the_limit_is_inconclusive() -> None:
    found = Machine(3).compare(lambda _: 1.5e-3, limit=1.5)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == "too near to 1.5 to be distinguished from it"


@pytest.mark.parametrize("every", [3, 5])
def test_slowness_of_most_calls_is_seen(every: int) -> None:
    """Twice as slow in all calls but each third or fifth: the quickest tenth does not show it."""
    machine = Machine(0, placed=0.0, noisy=False)

    def sometimes() -> Arm:
        counted = count()
        return machine.arm(lambda _: 2e-3 if (next(counted) + 1) % every else 1e-3)

    plain = [machine.arm(lambda _: 1e-3) for _ in range(2)]
    found = compare(lambda _: [sometimes(), *plain], 1.2, QUICK, machine.clock, seed=0)

    assert found.ratio.high < 1.2
    assert found.typical.low > 1.9
    assert found.verdict == SLOWER


def test_without_a_limit_nothing_is_judged() -> None:
    found = Machine(0).compare(lambda _: 3e-3, limit=None)

    assert found.verdict == MEASURED
    assert found.ratio.low < 3.0 < found.ratio.high


def test_further_arms_are_measured_too() -> None:
    (other,) = Machine(0).compare(lambda _: 3e-3, limit=None).further

    assert other.low < 1.5 < other.high


def test_slowness_that_does_not_come_again_is_inconclusive() -> None:
    """Slow for the first measurement only: the confirmation takes it back."""
    found = Machine(0).compare(lambda calls: 1.5e-3 if calls < 8 * 4 * 40 else 1.0e-3)

    assert found.verdict == INCONCLUSIVE
    assert not found.confirmed


def test_a_failure_is_confirmed() -> None:
    assert Machine(0).compare(lambda _: 2e-3).confirmed


def test_a_baseline_that_differs_from_itself_judges_nobody() -> None:
    """Two arms of one function that differ by a tenth: nothing is said of the implementation."""
    machine = Machine(0, placed=0.001)
    found = compare(
        lambda _: [machine.arm(lambda _: 2e-3), machine.arm(lambda _: 1.1e-3), machine.arm(lambda _: 1e-3)],
        1.0, QUICK, machine.clock, seed=0,
    )  # fmt: skip

    assert found.verdict == INCONCLUSIVE
    assert re.fullmatch(r"the baseline differs from itself by (9|10)\.\d %", found.reason)


def test_it_stops_when_out_of_time() -> None:
    """Calls of a tenth of a second: the fewest rounds of the least repetitions, and no more."""
    machine = Machine(0, noisy=False)
    machine.compare(lambda _: 0.1, other=0.1)

    assert machine.time < 1.5 * QUICK.least * 5 * 3 * 0.1


def test_it_stops_when_precise_enough() -> None:
    found = Machine(0, placed=1e-5, noisy=False).compare(lambda _: 1e-3)

    assert found.ratio.repetitions == QUICK.least


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(CallError, match="too coarse, or it was tampered with"):
        compare(lambda _: [lambda: 0.0] * 3, 1.0, QUICK)


def test_the_interval_covers_the_truth() -> None:
    """At 99 %, of 1000 intervals over eight repetitions at least 98 % hold the true ratio."""
    held = 0
    for seed in range(1000):
        logs = np.log(1.3) + 0.02 * np.random.default_rng(seed).standard_normal(8)
        found = ratio_interval(list(map(float, logs)), 0.99)
        held += found.low <= 1.3 <= found.high
    assert 980 <= held <= 998
