"""Ceilings on a simulated machine: no real time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from normcheck.bench import bandwidth
from normcheck.bench.bandwidth import (
    CALL_BOUND,
    MEASUREMENT_ERROR,
    WITHIN,
    BandwidthCurve,
    BandwidthPoint,
    Stream,
    bandwidth_share,
    measure_curve,
)
from normcheck.bench.caches import CacheLevel, cache_levels
from normcheck.bench.torch_device import HOST
from normcheck.bench.traffic import DataMovement, Traffic

CACHES = (CacheLevel("L1", 1 << 15), CacheLevel("L2", 1 << 19), CacheLevel("L3", 1 << 25, 2))
SIZES = tuple(1 << k for k in range(12, 28))


class Machine:
    """A clock that only moving bytes moves: 100, 50, 25 and 10 GB/s by level, 1 us a call, noise that only slows."""

    def __init__(self, seed: int = 0, noise: float = 0.0, unlucky: int = -1) -> None:
        self.unlucky = unlucky
        self.time, self.rng, self.noise = 0.0, np.random.default_rng(seed), noise

    def rate(self, size: int) -> float:
        if size == self.unlucky:
            return 1e9
        return next((r for level, r in zip(CACHES, (100e9, 50e9, 25e9), strict=True) if size <= level.bytes), 10e9)

    def stream(self, name: str, factor: float) -> Stream:
        def prepare(size: int) -> tuple[Callable[[], None], int]:
            def call() -> None:
                took = 1e-6 + size / (factor * self.rate(size))
                self.time += took * (1.0 + self.noise * float(self.rng.exponential()))

            return call, size

        return Stream(name, prepare)

    def curve(self) -> BandwidthCurve:
        streams = (self.stream("slow", 0.5), self.stream("fast", 1.0))
        return measure_curve(SIZES, CACHES, streams, lambda: self.time, workers=1, seconds=2e-5)


def pass_of(size: int) -> Traffic:
    return Traffic((DataMovement("x", size // 2), DataMovement("y", size // 2, written=True)), size)


def test_the_fastest_stream_is_the_ceiling_at_each_level() -> None:
    found = Machine().curve()

    assert [round(found.at(size).rate / 1e9) for size in (1 << 14, 1 << 18, 1 << 24, 1 << 27)] == [100, 50, 25, 10]
    assert {point.stream for point in found.points} == {"fast"}
    assert {name: round(rate / 1e9) for name, rate in found.plateaus().items()} == {
        "L2": 50, "L3": 25, "memory": 10,
    }  # fmt: skip  # all that L1 holds is moved in less time than a call


def test_a_smaller_set_moves_no_slower_than_a_larger_one() -> None:
    """At one size copies fall on unlucky addresses: the ceiling is that of the next larger size."""
    found = Machine(unlucky=1 << 18).curve()

    assert found.at(1 << 18).rate == pytest.approx(found.at(1 << 19).rate)


def test_the_cost_of_a_call_is_no_part_of_it() -> None:
    assert Machine().curve().call == pytest.approx(1e-6)


def test_noise_does_not_lower_the_ceiling_much() -> None:
    found = Machine(noise=0.3).curve()

    assert found.at(1 << 27).rate == pytest.approx(10e9, rel=0.2)
    assert found.at(1 << 27).high >= 10e9


def test_between_sizes_it_is_interpolated_and_the_most_is_of_both() -> None:
    found = Machine().curve()
    between = found.at(3 << 24)

    assert 10e9 < between.rate < 25e9
    assert between.high >= 25e9 * (1 - 1e-9)


def test_a_share_of_the_ceiling() -> None:
    found = bandwidth_share(pass_of(1 << 27), (1 << 27) / 5e9, Machine().curve())

    assert found.value == pytest.approx(0.5)
    assert (found.level, found.verdict) == ("memory", WITHIN)


def test_faster_than_bytes_move_is_a_measurement_error() -> None:
    found = bandwidth_share(pass_of(1 << 27), (1 << 27) / 30e9, Machine().curve())

    assert found.verdict == MEASUREMENT_ERROR
    assert found.reason == (
        "30.0 GB/s of the least that must be moved, where this machine's fast reaches 10.0 GB/s, 10.0 at the most "
        "(memory)"
    )


def test_slightly_above_is_within_what_is_unsure() -> None:
    """Rounds that differ leave open how fast the fastest would be."""
    unsure = BandwidthCurve((BandwidthPoint(1 << 20, 10e9, 12e9, "copy"),), CACHES, 1e-6, 1)

    assert bandwidth_share(pass_of(1 << 20), (1 << 20) / 11e9, unsure).verdict == WITHIN
    assert bandwidth_share(pass_of(1 << 20), (1 << 20) / 13e9, unsure).verdict == MEASUREMENT_ERROR


def test_rounds_that_differ_make_the_ceiling_unsure() -> None:
    quiet, noisy = (Machine(1, noise).curve().at(1 << 27) for noise in (0.0, 0.5))

    assert quiet.high == pytest.approx(quiet.rate)
    assert noisy.high > 1.05 * noisy.rate


def test_an_error_is_said_only_of_a_ceiling_that_stands() -> None:
    """Measured in a spell of noise, the ceiling was too low; measured again it is not."""
    low = BandwidthCurve((BandwidthPoint(1 << 20, 10e9, 10e9, "copy"),), CACHES, 1e-6, 1)
    asked = []

    def again(size: int) -> BandwidthCurve:
        asked.append(size)
        return BandwidthCurve((BandwidthPoint(1 << 20, 40e9, 40e9, "copy"),), CACHES, 1e-6, 1)

    found = bandwidth_share(pass_of(1 << 20), (1 << 20) / 20e9, low, again)

    assert (found.verdict, found.value) == (WITHIN, pytest.approx(0.5))
    assert asked == [1 << 20]
    assert bandwidth_share(pass_of(1 << 20), (1 << 20) / 20e9, low, lambda size: low).verdict == MEASUREMENT_ERROR


def test_where_calling_takes_longer_than_moving_a_share_says_little() -> None:
    found = bandwidth_share(pass_of(1 << 12), 3e-6, Machine().curve())

    assert found.verdict == CALL_BOUND
    assert found.reason == "moving 4096 bytes takes less time than a call, 1.0 us"


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="too coarse, or it was tampered with"):
        bandwidth_share(pass_of(1 << 12), 0.0, Machine().curve())


def test_a_size_that_noise_hides_has_no_ceiling() -> None:
    """Empty calls that differ by more than a small copy takes: nothing is said to be impossible."""
    point = bandwidth._point(64, "copy", [1.1e-6, 1.2e-6, 1.4e-6], [1.0e-6, 1.1e-6, 1.3e-6], 64)

    assert point.high == math.inf


def test_a_level_that_calls_hide_is_not_told() -> None:
    """Every size that it holds is moved in less time than a call takes."""
    small, large = BandwidthPoint(1 << 14, 1e11, 1e11, "copy"), BandwidthPoint(1 << 18, 5e10, 5e10, "copy")

    assert BandwidthCurve((small, large), CACHES, 1e-6, 1).plateaus() == {"L2": 5e10}


def test_private_caches_add_up_over_workers() -> None:
    found = BandwidthCurve((BandwidthPoint(1, 1.0, 1.0, ""),), CACHES, 0.0, 2)

    assert [found.level(size) for size in (1 << 16, 1 << 20, 1 << 25, 1 << 26)] == ["L1", "L2", "L3", "memory"]


def test_an_unknown_machine_has_no_levels() -> None:
    assert BandwidthCurve((BandwidthPoint(1, 1.0, 1.0, ""),), (), 0.0, 1).level(1 << 20) == "unknown"


def test_caches_are_read_from_the_operating_system(tmp_path: Path) -> None:
    told = {
        "index0": ("1", "Data", "32K", "0"), "index1": ("1", "Instruction", "32K", "0"),
        "index2": ("2", "Unified", "512K", "0-1"), "index3": ("3", "Unified", "32M", "0-7,16"),
    }  # fmt: skip
    for index, values in told.items():
        folder = tmp_path / "cpu0" / "cache" / index
        folder.mkdir(parents=True)
        for key, value in zip(("level", "type", "size", "shared_cpu_list"), values, strict=True):
            (folder / key).write_text(value + "\n")

    assert cache_levels(tmp_path, {0, 1, 2, 3}) == (
        CacheLevel("L1", 32 << 10, 1), CacheLevel("L2", 512 << 10, 2), CacheLevel("L3", 32 << 20, 4),
    )  # fmt: skip
    assert cache_levels(tmp_path / "nowhere", {0}) == ()


def test_it_stops_when_out_of_time() -> None:
    """Two rounds on a machine where each takes longer than the budget."""
    calls, time = [0], [0.0]

    def call() -> None:
        calls[0] += 1
        time[0] += 10.0

    measure_curve((64,), (), (Stream("slow", lambda size: (call, 64)),), lambda: time[0])

    assert calls[0] == 2 * 2 * 3  # two rounds, two sizes, a first call and two that are timed


def test_sizes_reach_beyond_the_last_cache() -> None:
    assert bandwidth.sizes_for(CACHES, 1)[-1] == 4 << 25


@pytest.mark.parametrize("stream", HOST.streams(), ids=lambda stream: stream.name)
def test_a_stream_works_on_as_many_bytes_as_it_says(stream: Stream) -> None:
    call, moved = stream.prepare(3 << 13)
    call()

    assert moved == 3 << 13
