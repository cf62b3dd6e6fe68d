"""Exponents of simulated times: costs of a call, jumps, noise; and how sizes are swept. No real time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normcheck.bench.growth import INCONCLUSIVE, LINEAR, QUADRATIC, Growth, fit, sweep

SIZES = tuple(1 << k for k in range(4, 17))
CALL = 5e-6


def grown(time: Callable[[int], float], noise: float = 0.0, seed: int = 0, sizes: tuple[int, ...] = SIZES) -> Growth:
    rng = np.random.default_rng(seed)
    return fit(sizes, [time(n) * float(np.exp(noise * rng.standard_normal())) for n in sizes])


def linear(n: int) -> float:
    return CALL + 8e-9 * n


def leaves_a_cache(n: int) -> float:
    return CALL + 3e-9 * n * (3.0 if n > 2048 else 1.0)


def quadratic(n: int) -> float:
    """A matrix of width times width beside the linear work."""
    return CALL + 1e-9 * n + 6e-10 * n * n


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.15])
@pytest.mark.parametrize(("time", "verdict"), [(linear, LINEAR), (leaves_a_cache, LINEAR), (quadratic, QUADRATIC)])
def test_quadratic_is_told_from_linear(time: Callable[[int], float], verdict: str, noise: float) -> None:
    assert [grown(time, noise, seed).verdict for seed in range(2)] == [verdict] * 2


def test_the_exponent_and_the_cost_of_a_call_are_found() -> None:
    found = grown(linear)

    assert found.exponent == pytest.approx(1.0, abs=0.01)
    assert found.call == pytest.approx(CALL, rel=0.05)
    assert found.jumps == ()


def test_a_jump_is_found_where_it_is() -> None:
    found = grown(leaves_a_cache, 0.02, 1)
    [jump] = found.jumps

    assert (jump.below, jump.above) == (2048, 4096)
    assert jump.low < 3.0 < jump.high
    assert found.low <= 1.0 <= found.high


def test_where_a_call_is_all_there_is_nothing_is_said() -> None:
    found = grown(lambda n: CALL, 0.02)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == "the cost of the call hides how the rest grows; larger sizes are needed"


def test_noise_that_hides_the_exponent_is_inconclusive() -> None:
    found = grown(lambda n: 1e-9 * n**1.5, 0.3, 2)

    assert found.verdict == INCONCLUSIVE
    assert found.reason == f"exponents from {found.low:.2f} to {found.high:.2f} fit"


def test_the_interval_covers_the_truth() -> None:
    """At 95 %, of 12 intervals at least 10 hold the true exponent."""
    held = 0
    for seed in range(12):
        found = grown(linear, 0.05, 200 + seed)
        held += found.low <= 1.0 <= found.high

    assert held >= 10


def test_bytes_grow_exactly() -> None:
    """Memory has no noise: a matrix beside rows is quadratic, rows are linear."""
    sizes = tuple(1 << k for k in range(6, 12))

    assert fit(sizes, [4.0 * n * n + 128 * n for n in sizes]).verdict == QUADRATIC
    assert fit(sizes, [512.0 * n + 256 for n in sizes]).verdict == LINEAR


@pytest.mark.parametrize("sizes", [(1, 2, 3), (1, 2, 4, 8, 16, 16), (0, 1, 2, 3, 4, 5)])
def test_sizes_that_fit_nothing_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="6 or more rising sizes"):
        fit(sizes, [1.0] * len(sizes))


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="too coarse, or it was tampered with"):
        fit(SIZES, [0.0, *([1.0] * (len(SIZES) - 1))])


def test_the_record_is_plain() -> None:
    record = grown(leaves_a_cache, 0.02, 1).record()

    assert record["verdict"] == LINEAR
    assert record["jumps"][0]["below"] == 2048
    assert len(record["sizes"]) == len(record["values"]) == len(SIZES)


class Machine:
    """A clock that calls move; spells of noise make some of them slow."""

    def __init__(self) -> None:
        self.time, self.calls = 0.0, {}

    def make(self, size: int) -> Callable[[], float]:
        def arm() -> float:
            self.calls[size] = self.calls.get(size, 0) + 1
            took = 1e-3 * size * (5.0 if sum(self.calls.values()) % 3 else 1.0)
            self.time += took
            return took

        return arm


def test_the_shortest_time_of_many_counts() -> None:
    machine = Machine()
    sizes, times = sweep(machine.make, (1, 2, 4), clock=lambda: machine.time)

    assert sizes == (1, 2, 4)
    assert times == pytest.approx((1e-3, 2e-3, 4e-3))


def test_no_size_is_tried_beyond_one_that_takes_too_long() -> None:
    """The first that is too long is still measured: it is what shows the growth."""
    machine = Machine()
    sizes, _ = sweep(machine.make, (10, 100, 1000, 10000), longest=0.05, clock=lambda: machine.time)

    assert sizes[-1] in (10, 100)
    assert 1000 not in machine.calls


def test_no_round_begins_when_out_of_time() -> None:
    machine = Machine()
    sweep(machine.make, (1, 2), rounds=1000, seconds=0.5, clock=lambda: machine.time)

    assert machine.time < 0.6
