"""The paired ratio on a simulated clock: noise of every kind, no real time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normcheck.bench.pairs import INCONCLUSIVE, SLOWER, WITHIN, Budget, _judged, _Sample, compare, interval


class Machine:
    """A clock that only calls move: log-normal noise, spells of slowness that neighbors share, preemptions."""

    def __init__(self, seed: int) -> None:
        self.time, self.rng, self.calls = 0.0, np.random.default_rng(seed), 0

    def clock(self) -> float:
        return self.time

    def arm(self, seconds: Callable[[int], float]) -> Callable[[], float]:
        def call() -> float:
            self.calls += 1
            spell = 1.6 if int(self.time * 7) % 3 == 0 else 1.0
            took = seconds(self.calls) * spell * float(np.exp(0.08 * self.rng.standard_normal()))
            took += 0.02 if self.rng.random() < 0.01 else 0.0
            self.time += took
            return took

        return call

    def compare(self, one: Callable[[int], float], limit: float = 1.0, other: float = 1e-3, seconds: float = 4.0):
        return compare(self.arm(one), self.arm(lambda _: other), limit, Budget(seconds), self.clock)


def verdicts(ratio: float, count: int = 60) -> list[str]:
    return [Machine(seed).compare(lambda _: ratio * 1e-3).verdict for seed in range(count)]


def test_the_same_function_is_not_called_slower() -> None:
    assert verdicts(1.0, 200).count(SLOWER) <= 2


def test_ten_percent_are_seen() -> None:
    assert verdicts(1.10).count(SLOWER) >= 57


def test_five_percent_are_seen() -> None:
    assert verdicts(1.05).count(SLOWER) >= 42


def test_within_the_limit_is_said() -> None:
    assert Machine(0).compare(lambda _: 1.2e-3, limit=1.5).verdict == WITHIN


def test_faster_is_within() -> None:
    found = Machine(0).compare(lambda _: 0.5e-3)

    assert found.verdict == WITHIN
    assert found.ratio.low < 0.5 < found.ratio.high


def test_a_ratio_at_the_limit_is_inconclusive() -> None:
    found = Machine(3).compare(lambda _: 1.5e-3, limit=1.5, seconds=0.2)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == "the interval holds 1.5"


def test_slowness_that_does_not_come_again_is_inconclusive() -> None:
    """Slow for the first measurement only: the confirmation takes it back."""
    found = Machine(0).compare(lambda calls: 1.5e-3 if calls < 100 else 1.0e-3)

    assert found.verdict == INCONCLUSIVE
    assert not found.confirmed


def test_a_failure_is_confirmed() -> None:
    assert Machine(0).compare(lambda _: 2e-3).confirmed


def test_a_baseline_that_differs_from_itself_judges_nobody() -> None:
    """Two arms of one function that differ: nothing is said of the implementation."""
    sample = _Sample(interval([2.0] * 30, [1.0] * 30, 0.99), interval([1.1] * 30, [1.0] * 30, 0.99), 2.0, 1.0)
    found = _judged(sample, 1.0)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == "the baseline differs from itself by 10.0 %"


def test_it_stops_when_out_of_time() -> None:
    machine = Machine(0)
    machine.compare(lambda _: 0.1, other=0.1, seconds=4.0)

    assert machine.time < 4.0 + 30 * 3 * 0.5


def test_it_stops_when_precise_enough() -> None:
    machine = Machine(0)
    found = compare(lambda: 1e-3, lambda: 1e-3, 1.0, Budget(seconds=100.0), machine.clock)

    assert found.ratio.pairs == Budget().least


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(ValueError, match="too coarse, or it was tampered with"):
        interval([0.0], [1.0], 0.99)


def test_the_interval_covers_the_truth() -> None:
    """At 99 %, of 300 intervals at least 97 % hold the true ratio."""
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        a, b = np.exp(0.1 * rng.standard_normal((2, 60)))
        found = interval(list(1.3 * a), list(b), 0.99, seed)
        held += found.low <= 1.3 <= found.high
    assert held >= 291
