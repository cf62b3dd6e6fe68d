"""The bandwidth of this machine over working-set sizes: the ceiling of a kernel that computes little.

Copies (one number read for one written) and sums of two (two read for one written) are timed over sizes, as in STREAM
(McCalpin 1995, "Memory bandwidth and machine balance in current high performance computers"); the fastest is the
ceiling, because it shows what moving bytes can reach. The time of an empty call is subtracted: a ceiling belongs to the
memory, and a caller with less overhead than torch must not seem to exceed it. Noise only ever slows a copy, so the
shortest time counts; how much shorter the time without noise might be follows from the distance between the two
shortest times of separate rounds (Robson, Whitlock 1964, "Estimation of a truncation point", Biometrika 51). A smaller
working set moves no slower than a larger one: if a copy was slower (copies of the C library are, at unlucky addresses),
the ceiling is that of the larger size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from normcheck.bench.caches import CacheLevel
from normcheck.bench.pairs import now
from normcheck.bench.traffic import Traffic

MEMORY, UNKNOWN = "memory", "unknown"
WITHIN, CALL_BOUND, MEASUREMENT_ERROR = "within", "bound by the call", "measurement error"

ROUNDS = 5
"""Separate rounds over all sizes: a period of noise that spoils one round leaves the others."""

CACHE_MULTIPLE = 4
"""The largest working set, in sizes of the last cache: large enough that almost none of it stays there."""

SMALLEST, LARGEST = 1 << 12, 1 << 28
"""Bytes of working sets: from one page to an amount that any machine can spare."""

SECONDS_PER_SIZE = 0.002
"""Time for one size in one round, with at least two calls: all sizes together take well under a second."""

CONFIDENCE = 0.8
"""Probability that the time without noise lies above first - c / (1 - c) (second - first): the bound of Robson and
Whitlock. Not higher, because a share above the ceiling is reported as an error only after a second measurement."""

BUDGET_SECONDS = 6.0
"""No further round begins after this time, once there are two: on a busy machine a round takes long."""

PreparedStream = tuple[Callable[[], Any], int]
"""A call that moves bytes, and how many it moves."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A way to move bytes. prepare: for a size of the storage in bytes, a call and the bytes that it moves."""

    name: str
    prepare: Callable[[int], PreparedStream]


@dataclass(frozen=True, slots=True)
class BandwidthPoint:
    """Bandwidth at one size (bytes), in bytes per second.

    high: the largest value that the measurement leaves possible; infinite for small sizes. stream: the fastest one.
    """

    size: int
    rate: float
    high: float
    stream: str

    def at(self, size: int) -> BandwidthPoint:
        """The same bandwidth for another size."""
        return replace(self, size=size)


@dataclass(frozen=True)
class BandwidthCurve:
    """Bandwidth over working-set sizes. call: seconds of an empty call. workers: processors that moved bytes."""

    points: tuple[BandwidthPoint, ...]
    levels: tuple[CacheLevel, ...]
    call: float
    workers: int

    @cached_property
    def _log_sizes(self) -> Any:
        return np.log([point.size for point in self.points])

    def at(self, size: float) -> BandwidthPoint:
        """Bandwidth at a size, interpolated on logarithmic axes; `high` is the higher of both neighbors."""
        where = float(np.clip(math.log(max(size, 1.0)), self._log_sizes[0], self._log_sizes[-1]))
        above = min(int(np.searchsorted(self._log_sizes, where)), len(self.points) - 1)
        one, two = self.points[max(above - 1, 0)], self.points[above]
        rate = math.exp(float(np.interp(where, self._log_sizes, np.log([point.rate for point in self.points]))))
        return BandwidthPoint(int(size), rate, max(one.high, two.high), max(one, two, key=lambda p: p.rate).stream)

    def level(self, size: float) -> str:
        """The name of the cache that holds a working set; "memory" beyond the last, "unknown" if none is known."""
        if not self.levels:
            return UNKNOWN
        return next((one.name for one in self.levels if size <= one.holds(self.workers)), MEMORY)

    def plateaus(self) -> dict[str, float]:
        """The highest bandwidth in each level, from small to large, of sizes that take longer to move than a call."""
        out: dict[str, float] = {}
        for point in self.points:
            if point.size > point.rate * self.call:
                name = self.level(point.size)
                out[name] = max(out.get(name, 0.0), point.rate)
        return out


def _shortest_time(call: Callable[[], Any], clock: Callable[[], float], seconds: float) -> float:
    best, spent, calls = math.inf, 0.0, 0
    while spent < seconds or calls < 2:
        started = clock()
        call()
        elapsed = clock() - started
        best, spent, calls = min(best, elapsed), spent + elapsed, calls + 1
    return best


def _time_stream(
    stream: Stream, sizes: Sequence[int], clock: Callable[[], float], seconds: float
) -> dict[int, tuple[float, int]]:
    """Shortest time and bytes moved for each size; one after the other, so that only one size is allocated."""
    out = {}
    for size in sizes:
        call, moved = stream.prepare(size)
        call()
        out[size] = _shortest_time(call, clock, seconds), moved
    return out


def _shortest_and_margin(times: Sequence[float]) -> tuple[float, float]:
    """The shortest time, and how much shorter the time without noise might be."""
    first, second = sorted(times)[:2]
    return first, CONFIDENCE / (1.0 - CONFIDENCE) * (second - first)


def _point(size: int, stream: str, times: Sequence[float], empty: Sequence[float], moved: int) -> BandwidthPoint:
    """The bandwidth from the times of one size, less those of empty calls; `high` uses both margins."""
    (shortest, margin), (call, call_margin) = _shortest_and_margin(times), _shortest_and_margin(empty)
    net, least = shortest - call, shortest - call - margin - call_margin
    rate = moved / (net if net > 0.0 else shortest)
    return BandwidthPoint(size, rate, moved / least if least > 0.0 else math.inf, stream)


def measure_curve(
    sizes: Sequence[int],
    caches: Sequence[CacheLevel],
    streams: Iterable[Stream],
    clock: Callable[[], float] = now,
    workers: int = 1,
    seconds: float = SECONDS_PER_SIZE,
) -> BandwidthCurve:
    """Measure the ceiling over rising sizes in bytes: the fastest stream at that size or at a larger one.

    workers: processors that the streams use. seconds: for one size in one round.
    """
    streams = tuple(streams)
    rounds: list[dict[str, dict[int, tuple[float, int]]]] = []
    started = clock()
    while len(rounds) < 2 or (len(rounds) < ROUNDS and clock() - started < BUDGET_SECONDS):
        rounds.append({s.name: _time_stream(s, (0, *sizes), clock, seconds) for s in streams})
    points: list[BandwidthPoint] = []
    for size in reversed(sizes):
        found = [
            _point(size, s.name, [r[s.name][size][0] for r in rounds], [r[s.name][0][0] for r in rounds],
                   rounds[0][s.name][size][1])
            for s in streams
        ]  # fmt: skip
        best = max(found, key=lambda point: point.rate)
        points.append(max((best, *points[-1:]), key=lambda point: point.rate).at(size))
    points.reverse()
    call = min(r[s.name][0][0] for r in rounds for s in streams)
    return BandwidthCurve(tuple(points), tuple(caches), call, workers)


def sizes_for(caches: Sequence[CacheLevel], workers: int) -> tuple[int, ...]:
    """Working-set sizes in bytes: the powers of two from a page to well beyond the last cache."""
    last = caches[-1].holds(workers) if caches else LARGEST // (2 * CACHE_MULTIPLE)
    top = min(LARGEST, max(CACHE_MULTIPLE * last, 16 * SMALLEST))
    return tuple(1 << k for k in range(SMALLEST.bit_length() - 1, top.bit_length()))


@dataclass(frozen=True, slots=True)
class BandwidthShare:
    """The part of the ceiling that a pass reached.

    value: as a fraction of the bandwidth at its working set. rate: in bytes per second. level: the cache or memory
    that holds the working set.
    """

    value: float
    rate: float
    ceiling: BandwidthPoint
    level: str
    verdict: str
    reason: str = ""

    def record(self) -> Mapping[str, Any]:
        """Keys: share, bytes_per_second, ceiling, ceiling_high, level, stream, verdict, reason."""
        high = self.ceiling.high if math.isfinite(self.ceiling.high) else None
        return {
            "share": self.value, "bytes_per_second": self.rate, "ceiling": self.ceiling.rate, "ceiling_high": high,
            "level": self.level, "stream": self.ceiling.stream, "verdict": self.verdict, "reason": self.reason,
        }  # fmt: skip


def bandwidth_share(
    least: Traffic,
    seconds: float,
    curve: BandwidthCurve,
    measure_again: Callable[[int], BandwidthCurve] | None = None,
    *,
    cold: bool = False,
) -> BandwidthShare:
    """The share of the machine's bandwidth of a pass that moved its least traffic in this many seconds.

    cold: nothing was in a cache, so the ceiling is that of memory at any size. measure_again: measures the ceiling
    at one size anew.
    Verdict "measurement error": faster than bytes can be moved, beyond the margin of the ceiling, so not all outputs
    were written or the clock is wrong. It is given only if the ceiling still stands after `measure_again`.
    "bound by the call": at this size moving the bytes takes no longer than a call, so the share means little.
    Raises `ValueError` for a time that is not positive.
    """
    if not seconds > 0.0:
        raise ValueError("a pass took no time: the clock is too coarse, or it was tampered with")
    size = max(least.working_set, curve.points[-1].size) if cold else least.working_set
    ceiling, level = curve.at(size), curve.level(size)
    rate = least.bytes / seconds
    if rate > ceiling.high and measure_again is not None:
        ceiling = _faster_of(ceiling, measure_again(size).at(size))
    verdict, reason = WITHIN, ""
    if rate > ceiling.high:
        verdict = MEASUREMENT_ERROR
        reason = (
            f"{rate / 1e9:.1f} GB/s of the least that must be moved, where this machine's {ceiling.stream} reaches "
            f"{ceiling.rate / 1e9:.1f} GB/s, {ceiling.high / 1e9:.1f} at the most ({level})"
        )
    elif least.bytes / ceiling.rate < curve.call:
        verdict = CALL_BOUND
        reason = f"moving {least.bytes} bytes takes less time than a call, {1e6 * curve.call:.1f} us"
    return BandwidthShare(rate / ceiling.rate, rate, ceiling, level, verdict, reason)


def _faster_of(one: BandwidthPoint, other: BandwidthPoint) -> BandwidthPoint:
    """Of two measurements of one size: the higher rate, and the higher of the values left possible."""
    best = max(one, other, key=lambda point: point.rate)
    return BandwidthPoint(one.size, best.rate, max(one.high, other.high), best.stream)
