"""A pass against the machine's limits: bandwidth, memory and growth of one subject, as plain data and in words.

An entry of the record's `speed` list (`speed.record`) has, besides its own keys, those of `entry`:

  traffic     read, written, bytes, flops, working_set (bytes), intensity (operations per byte): the least of the pass
  bandwidth   as `BandwidthShare.record`; its time is the entry's own
  memory      as `MemoryUse.record`, or null for a backward alone
  limit_memory, memory_verdict ("within", "more", or null without a limit), memory_reason

`ceiling_entry` is the roofline of the machine, which plots draw above the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.bench import growth
from normcheck.bench.bandwidth import CALL_BOUND, MEASUREMENT_ERROR, BandwidthCurve, BandwidthShare, bandwidth_share
from normcheck.bench.ceilings import bandwidth_curve
from normcheck.bench.ceilings import measure_again as measure_device_again
from normcheck.bench.device import Device
from normcheck.bench.growth import Growth, sweep
from normcheck.bench.memory import MemoryUse, MemoryVerdict, judge_memory, measure_memory
from normcheck.bench.pairs import Arm
from normcheck.bench.torch_device import HOST
from normcheck.bench.traffic import BACKWARD, BOTH, Traffic, traffic
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

ROWS = (1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 12288, 24576)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
"""Two or more sizes lie beyond the point where memory is no longer reused from call to call, or fits into no cache: a
jump with only one size behind it cannot be distinguished from a power. No number of rows (of 768 in float32) comes to
just below 32 MiB, the most that the C library of Linux ever keeps for reuse (M_MMAP_THRESHOLD): it keeps such memory
only at times."""

MEMORY_WIDTHS = (32, 64, 128, 256, 512, 1024, 2048)
"""Small widths are enough for memory: bytes are counted without noise, and a call costs none."""

LONGEST_CALL = 0.25
"""Seconds: no size is tried beyond one whose call takes longer, as a fast-growing time would fill the budget."""

SWEEP_SECONDS = 20.0
"""Time of one sweep over the sizes: enough for its rounds at sizes whose calls take milliseconds."""


@dataclass(frozen=True, slots=True)
class SpeedLimits:
    """One pass of a subject on one case, against the machine. memory: None for a backward alone."""

    part: str
    traffic: Traffic
    share: BandwidthShare
    memory: MemoryUse | None
    memory_verdict: MemoryVerdict | None
    memory_limit: float | None


def measure_limits(
    found: Subject,
    case: Case,
    part: str,
    seconds: float,
    limit: float | None = None,
    curve: BandwidthCurve | None = None,
    measure_again: Callable[[int], BandwidthCurve] | None = None,
    device: Device = HOST,
    *,
    cold: bool = False,
) -> SpeedLimits:
    """The share of the bandwidth for a measured time, and the peak memory.

    seconds: of one call of the pass. limit: of `--norm-max-memory`. curve, measure_again: the bandwidth, and how to
    measure it anew at one size; by default those of the device. cold: nothing was in a cache.
    Raises `CallError` for a subject that takes no torch tensors.
    """
    least = traffic(found.normalizer, case, part, found.contract.through)
    if curve is None:
        curve, measure_again = bandwidth_curve(device), lambda size: measure_device_again(size, device)
    share = bandwidth_share(least, seconds, curve, measure_again, cold=cold)
    memory = measure_memory(found, case, part, device) if part != BACKWARD else None
    verdict = judge_memory(memory, limit) if memory is not None and limit is not None else None
    return SpeedLimits(part, least, share, memory, verdict, limit)


def entry(found: SpeedLimits) -> dict[str, Any]:
    """The keys of an entry of the record's `speed` list that are described at the top of this file."""
    least = found.traffic
    return {
        "traffic": {
            "read": least.read, "written": least.written, "bytes": least.bytes, "flops": least.flops,
            "working_set": least.working_set, "intensity": least.intensity,
        },
        "bandwidth": dict(found.share.record()),
        "memory": None if found.memory is None else found.memory.record(),
        "limit_memory": found.memory_limit,
        "memory_verdict": None if found.memory_verdict is None else found.memory_verdict.verdict,
        "memory_reason": "" if found.memory_verdict is None else found.memory_verdict.reason,
    }  # fmt: skip


def ceiling_entry(curve: BandwidthCurve) -> dict[str, Any]:
    """The machine's roofline as data: points (size, bytes_per_second, stream, level), caches, plateaus, workers."""
    return {
        "points": [
            {"size": p.size, "bytes_per_second": p.rate, "stream": p.stream, "level": curve.level(p.size)}
            for p in curve.points
        ],
        "caches": [{"name": c.name, "bytes": c.bytes, "sharers": c.sharers} for c in curve.levels],
        "plateaus": curve.plateaus(),
        "workers": curve.workers,
        "call": curve.call,
    }


def size_in_words(count: float) -> str:
    """Bytes in the largest unit, up to GiB, in which the number is at least 1.

    >>> [size_in_words(n) for n in (512, 98304, 3 << 30)]
    ['512 B', '96 KiB', '3 GiB']
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.3g} GiB"


def describe(found: SpeedLimits) -> str:
    """The result in a few words: share of the bandwidth, memory, and hidden copies."""
    share = found.share
    if share.verdict == MEASUREMENT_ERROR:
        words = f"measurement error: {share.reason}"
    elif share.verdict == CALL_BOUND:
        words = f"bound by the call ({size_in_words(found.traffic.bytes)})"
    else:
        words = f"{100.0 * share.value:.0f} % of {share.ceiling.rate / 1e9:.0f} GB/s ({share.level})"
    if found.memory is None:
        return words
    hidden = "".join(f"; {one}" for one in found.memory.hidden)
    return f"{words}, {found.memory.ratio:.2f} times the memory needed{hidden}"


def time_growth(
    make: Callable[[int], Arm], sizes: Sequence[int], longest: float = LONGEST_CALL, seconds: float = SWEEP_SECONDS
) -> Growth:
    """Growth of a subject's time over sizes. make: for a size, an arm that is ready to be timed.

    If one sweep is inconclusive, a second one follows in new storage: noise only slows, so the shorter time of each
    size counts. Raises `CallError` as the arms do.
    """
    with quiet():
        tried, times = sweep(make, sizes, longest=longest, seconds=seconds)
        found = _fitted(tried, times)
        if found.verdict != growth.INCONCLUSIVE:
            return found
        again, others = sweep(make, sizes, longest=longest, seconds=seconds, seed=1)
    more = dict(zip(again, others, strict=True))
    return _fitted(tried, tuple(min(time, more.get(size, time)) for size, time in zip(tried, times, strict=True)))


def memory_growth(found: Subject, case_for: Callable[[int], Case], part: str) -> Growth:
    """Growth of peak memory over widths. case_for: for a width, a case with few rows."""
    part = BOTH if part == BACKWARD else part
    peaks = [measure_memory(found, case_for(width), part).peak for width in MEMORY_WIDTHS]
    return growth.fit(MEMORY_WIDTHS, [float(max(peak, 1)) for peak in peaks])


def _fitted(sizes: tuple[int, ...], times: tuple[float, ...]) -> Growth:
    """The fitted growth; inconclusive if calls became too slow before there were enough sizes for a fit."""
    if len(sizes) >= growth.LEAST_SIZES:
        return growth.fit(sizes, times)
    reason = f"only {len(sizes)} sizes could be timed, {growth.LEAST_SIZES} are needed"
    first, last = float(growth.EXPONENTS[0]), float(growth.EXPONENTS[-1])
    return Growth(sizes, times, first, first, last, 0.0, (), growth.INCONCLUSIVE, reason)
