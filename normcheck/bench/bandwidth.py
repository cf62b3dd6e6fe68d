"""How fast this machine moves bytes at a working-set size: the ceiling of a kernel that computes little.

Copies (one number read for one written) and sums of two (two read for one written) are timed over sizes, as STREAM
does (McCalpin 1995, "Memory bandwidth and machine balance in current high performance computers"); the fastest is
the ceiling, since it is what moving bytes can reach. The time of an empty call is taken off: a ceiling is of the
memory, and whoever calls with less cost than torch must not seem to break it. Noise only ever slows a copy, so the
shortest time counts; how much shorter it might have been follows from the distance between the two shortest of
separate rounds (Robson, Whitlock 1964, "Estimation of a truncation point", Biometrika 51). A smaller working set
moves no slower than a larger one: where a copy happened to (copies of the C library do, at unlucky addresses), the
ceiling is that of the larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from normcheck.bench.caches import Level
from normcheck.bench.pairs import now
from normcheck.bench.traffic import Traffic

MEMORY, UNKNOWN = "memory", "unknown"
WITHIN, CALL, ERROR = "within", "bound by the call", "measurement error"

ROUNDS = 5
"""Separate rounds over all sizes: a spell of noise that spoils one round leaves the others."""

BEYOND = 4
"""The largest working set, in sizes of the last cache: enough that next to nothing of it stays there."""

SMALLEST, LARGEST = 1 << 12, 1 << 28
"""Bytes of working sets: from a page to what any machine has to spare."""

SLICE = 0.002
"""Seconds for one size in one round; at least two calls."""

CONFIDENCE = 0.8
"""That a shortest time lies above first - c / (1 - c) (second - first): Robson and Whitlock's bound. Not higher,
because a share above the ceiling is said to be an error only after a second measurement."""

BUDGET = 6.0
"""Seconds after which no further round begins, once there are two: on a busy machine a round takes long."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A way to move bytes. prepare: a call that works on that many bytes of storage, and how many each call moves."""

    name: str
    prepare: Callable[[int], tuple[Callable[[], Any], int]]


Moved = tuple[Callable[[], Any], int]


def _copy(size: int, device: str) -> Moved:
    count = max(1, size // 8)
    one, other = torch.ones(count, device=device), torch.zeros(count, device=device)
    return lambda: other.copy_(one), 8 * count


def _alone(size: int) -> Moved:
    """By one thread, through the C library, which goes past the caches where that is faster."""
    count = max(1, size // 8)
    one, other = np.ones(count, np.float32), np.zeros(count, np.float32)
    return lambda: np.copyto(other, one), 8 * count


def _sum(size: int, device: str) -> Moved:
    count = max(1, size // 12)
    one, two, other = (torch.ones(count, device=device) for _ in range(3))
    return lambda: torch.add(one, two, out=other), 12 * count


def streams(device: str) -> tuple[Stream, ...]:
    """What moves bytes on a device, as torch writes it."""
    own = Stream("copy", lambda size: _copy(size, device)), Stream("sum of two", lambda size: _sum(size, device))
    return (*own, Stream("copy by one thread", _alone)) if device == "cpu" else own


STREAMS = streams("cpu")


@dataclass(frozen=True, slots=True)
class Point:
    """Bytes a second at one size. high: the most that the measurement leaves possible, infinite for small sizes."""

    size: int
    rate: float
    high: float
    stream: str

    def at(self, size: int) -> Point:
        """The same for another size."""
        return replace(self, size=size)


@dataclass(frozen=True)
class Curve:
    """Bandwidth over working-set sizes. call: seconds of an empty call. workers: threads that moved."""

    points: tuple[Point, ...]
    levels: tuple[Level, ...]
    call: float
    workers: int

    @cached_property
    def _logs(self) -> Any:
        return np.log([point.size for point in self.points])

    def at(self, size: float) -> Point:
        """Bandwidth at a size, between the measured ones on log axes; high is the higher of both neighbors."""
        where = float(np.clip(math.log(max(size, 1.0)), self._logs[0], self._logs[-1]))
        above = min(int(np.searchsorted(self._logs, where)), len(self.points) - 1)
        one, two = self.points[max(above - 1, 0)], self.points[above]
        rate = math.exp(float(np.interp(where, self._logs, np.log([point.rate for point in self.points]))))
        return Point(int(size), rate, max(one.high, two.high), max(one, two, key=lambda p: p.rate).stream)

    def level(self, size: float) -> str:
        """The cache that holds a working set, by its name; "memory" beyond the last."""
        if not self.levels:
            return UNKNOWN
        return next((one.name for one in self.levels if size <= one.holds(self.workers)), MEMORY)

    def plateaus(self) -> dict[str, float]:
        """The best bandwidth in each level, from small to large, of sizes that take longer to move than a call."""
        out: dict[str, float] = {}
        for point in self.points:
            if point.size > point.rate * self.call:
                name = self.level(point.size)
                out[name] = max(out.get(name, 0.0), point.rate)
        return out


def _shortest(call: Callable[[], Any], clock: Callable[[], float], seconds: float) -> float:
    best, spent, calls = math.inf, 0.0, 0
    while spent < seconds or calls < 2:
        started = clock()
        call()
        took = clock() - started
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best


def _timed(
    stream: Stream, sizes: Sequence[int], clock: Callable[[], float], seconds: float
) -> dict[int, tuple[float, int]]:
    """Shortest time and bytes moved for each size, one after the other so that storage is that of one size."""
    out = {}
    for size in sizes:
        call, moved = stream.prepare(size)
        call()
        out[size] = _shortest(call, clock, seconds), moved
    return out


def _least(times: Sequence[float]) -> tuple[float, float]:
    """The shortest time, and how much shorter it might be."""
    first, second = sorted(times)[:2]
    return first, CONFIDENCE / (1.0 - CONFIDENCE) * (second - first)


def _point(size: int, stream: str, times: Sequence[float], empty: Sequence[float], moved: int) -> Point:
    """Empty calls taken off; high is for the shortest time that the rounds leave possible."""
    (took, unsure), (call, unsure_call) = _least(times), _least(empty)
    left, least = took - call, took - call - unsure - unsure_call
    rate = moved / (left if left > 0.0 else took)
    return Point(size, rate, moved / least if least > 0.0 else math.inf, stream)


def curve(
    sizes: Sequence[int],
    told: Sequence[Level] = (),
    streams: Iterable[Stream] = STREAMS,
    clock: Callable[[], float] = now,
    workers: int = 1,
    seconds: float = SLICE,
) -> Curve:
    """Measure the ceiling over sizes, in bytes and rising: the fastest stream at that size or a larger one."""
    streams = tuple(streams)
    rounds: list[dict[str, dict[int, tuple[float, int]]]] = []
    started = clock()
    while len(rounds) < 2 or (len(rounds) < ROUNDS and clock() - started < BUDGET):
        rounds.append({s.name: _timed(s, (0, *sizes), clock, seconds) for s in streams})
    points: list[Point] = []
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
    return Curve(tuple(points), tuple(told), call, workers)


def sizes_for(told: Sequence[Level], workers: int) -> tuple[int, ...]:
    """Powers of two from a page to well beyond the last cache."""
    last = told[-1].holds(workers) if told else LARGEST // (2 * BEYOND)
    top = min(LARGEST, max(BEYOND * last, 16 * SMALLEST))
    return tuple(1 << k for k in range(SMALLEST.bit_length() - 1, top.bit_length()))


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the ceiling a pass reached. value: of the bandwidth at its working set; rate: bytes a second."""

    value: float
    rate: float
    ceiling: Point
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


def share(
    found: Traffic,
    seconds: float,
    ceilings: Curve,
    again: Callable[[int], Curve] | None = None,
    *,
    cold: bool = False,
) -> Share:
    """Share of the machine's bandwidth that a pass reached in so many seconds. cold: from and to memory at any size.

    Verdict "measurement error": faster than bytes can be moved, beyond what is unsure about the ceiling: not all was
    written, or the clock is wrong. Said only if the ceiling, measured again, still stands, where `again` can do that.
    "bound by the call": at this size moving takes no longer than calling, and a share says little.
    Raises `ValueError` for a time that is not positive.
    """
    if not seconds > 0.0:
        raise ValueError("a pass took no time: the clock is too coarse, or it was tampered with")
    size = max(found.working_set, ceilings.points[-1].size) if cold else found.working_set
    ceiling, level = ceilings.at(size), ceilings.level(size)
    rate = found.bytes / seconds
    if rate > ceiling.high and again is not None:
        ceiling = _higher(ceiling, again(size).at(size))
    verdict, reason = WITHIN, ""
    if rate > ceiling.high:
        verdict = ERROR
        reason = (
            f"{rate / 1e9:.1f} GB/s of the least that must be moved, where this machine's {ceiling.stream} reaches "
            f"{ceiling.rate / 1e9:.1f} GB/s, {ceiling.high / 1e9:.1f} at the most ({level})"
        )
    elif found.bytes / ceiling.rate < ceilings.call:
        verdict = CALL
        reason = f"moving {found.bytes} bytes takes less time than a call, {1e6 * ceilings.call:.1f} us"
    return Share(rate / ceiling.rate, rate, ceiling, level, verdict, reason)


def _higher(one: Point, other: Point) -> Point:
    """Of two measurements of one size: the faster, and the most that either leaves possible."""
    best = max(one, other, key=lambda point: point.rate)
    return Point(one.size, best.rate, max(one.high, other.high), best.stream)
