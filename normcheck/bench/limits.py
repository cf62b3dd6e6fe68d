"""A pass against the machine's limits: bandwidth, memory and growth of one subject, as plain data and in words.

An entry of the record's `speed` list (`speed.record`) gets, beside its own keys, those of `entry`:

  traffic     read, written, bytes, flops, working_set (bytes), intensity (operations per byte): the least of the pass
  bandwidth   as `bandwidth.Share.record`; seconds come from the entry itself
  memory      as `memory.Memory.record`, or null for a backward alone
  limit_memory, memory_verdict ("within", "more", or null where nothing was asked), memory_reason

`ceiling_entry` is the machine's roofline: what a picture draws above the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.bench import growth
from normcheck.bench.bandwidth import CALL, ERROR, Curve, Share, share
from normcheck.bench.ceilings import machine, near
from normcheck.bench.device import CPU, HOST, Device
from normcheck.bench.growth import Growth, sweep
from normcheck.bench.memory import CUDA_BLOCK, Judged, MemoryUse, cuda_meter, judge, memory
from normcheck.bench.pairs import Arm
from normcheck.bench.traffic import BACKWARD, BOTH, Traffic, traffic
from normcheck.core.foreign_code import quiet
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

ROWS = (1, 4, 16, 64, 256, 512, 1024, 2048, 4096, 12288, 24576)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
"""Two sizes and more beyond where memory is no longer reused from call to call, or fits into no cache: a jump that has
but one size behind it cannot be told from a power. No number of rows (of 768 in float32) comes to just below 32 MiB,
the most that the C library of Linux ever keeps for reuse (M_MMAP_THRESHOLD): such memory is kept at times."""

MEMORY_WIDTHS = (32, 64, 128, 256, 512, 1024, 2048)
"""For memory, small ones do: bytes are counted, and the cost of a call is none."""


@dataclass(frozen=True, slots=True)
class SpeedLimits:
    """One pass of a subject on one case, against the machine. memory: None for a backward alone."""

    part: str
    traffic: Traffic
    share: Share
    memory: MemoryUse | None
    judged: Judged | None
    limit: float | None


def measure(
    found: Subject,
    case: Case,
    part: str,
    seconds: float,
    limit: float | None = None,
    ceilings: Curve | None = None,
    again: Callable[[int], Curve] | None = None,
    device: Device = HOST,
    *,
    cold: bool = False,
) -> SpeedLimits:
    """Share of the bandwidth for a time that was measured, and peak memory.

    seconds: of one call of the pass. limit: of `--norm-max-memory`. ceilings, again: the machine's curve, and how it
    is measured anew at one size; without, the device's. cold: nothing of it was in a cache.
    Raises `CallError` for a subject that works on no tensors of torch.
    """
    least = traffic(found.normalizer, case, part, found.contract.through)
    curve = machine(device) if ceilings is None else ceilings
    fresh = (lambda size: near(size, device)) if ceilings is None else again
    reached = share(least, seconds, curve, fresh, cold=cold)
    meter, block = (None, 1) if device.name == CPU else (cuda_meter(device.name), CUDA_BLOCK)
    held = memory(found, case, part, meter, block) if part != BACKWARD else None
    judged = judge(held, limit) if held is not None and limit is not None else None
    return SpeedLimits(part, least, reached, held, judged, limit)


def entry(found: SpeedLimits) -> dict[str, Any]:
    """The keys that an entry of the record's `speed` list gets; see the top of this file."""
    least = found.traffic
    return {
        "traffic": {
            "read": least.read, "written": least.written, "bytes": least.bytes, "flops": least.flops,
            "working_set": least.working_set, "intensity": least.intensity,
        },
        "bandwidth": dict(found.share.record()),
        "memory": None if found.memory is None else found.memory.record(),
        "limit_memory": found.limit,
        "memory_verdict": None if found.judged is None else found.judged.verdict,
        "memory_reason": "" if found.judged is None else found.judged.reason,
    }  # fmt: skip


def ceiling_entry(curve: Curve) -> dict[str, Any]:
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
    """Bytes in the unit that leaves at most four digits.

    >>> [size_in_words(n) for n in (512, 98304, 3 << 30)]
    ['512 B', '96 KiB', '3 GiB']
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.3g} GiB"


def said(found: SpeedLimits) -> str:
    """The result in a few words: share of the bandwidth, memory, and what is hidden."""
    reached = found.share
    if reached.verdict == ERROR:
        words = f"measurement error: {reached.reason}"
    elif reached.verdict == CALL:
        words = f"bound by the call ({size_in_words(found.traffic.bytes)})"
    else:
        words = f"{100.0 * reached.value:.0f} % of {reached.ceiling.rate / 1e9:.0f} GB/s ({reached.level})"
    if found.memory is None:
        return words
    hidden = "".join(f"; {one}" for one in found.memory.hidden)
    return f"{words}, {found.memory.ratio:.2f} times the memory needed{hidden}"


def grow(make: Callable[[int], Arm], sizes: Sequence[int], longest: float = 0.25, seconds: float = 20.0) -> Growth:
    """Growth of time over sizes of a subject. make: an arm that is ready to be timed, for a size.

    What cannot be told from one sweep is asked of two, in storage of their own: noise only slows, so the shorter time
    of each size counts. Raises `CallError` as the arms do.
    """
    with quiet():
        tried, times = sweep(make, sizes, longest=longest, seconds=seconds)
        found = _fitted(tried, times)
        if found.verdict != growth.INCONCLUSIVE:
            return found
        again, others = sweep(make, sizes, longest=longest, seconds=seconds, seed=1)
    more = dict(zip(again, others, strict=True))
    return _fitted(tried, tuple(min(time, more.get(size, time)) for size, time in zip(tried, times, strict=True)))


def grow_memory(found: Subject, case_for: Callable[[int], Case], part: str) -> Growth:
    """Growth of peak memory over widths. case_for: a case with few rows for a width."""
    peaks = [memory(found, case_for(width), BOTH if part == BACKWARD else part).peak for width in MEMORY_WIDTHS]
    return growth.fit(MEMORY_WIDTHS, [float(max(peak, 1)) for peak in peaks])


def _fitted(sizes: tuple[int, ...], times: tuple[float, ...]) -> Growth:
    """Growth, or an inconclusive one where the sizes grew too slow to time for a fit."""
    if len(sizes) >= growth.LEAST:
        return growth.fit(sizes, times)
    reason = f"only {len(sizes)} sizes could be timed, {growth.LEAST} are needed"
    first, last = float(growth.EXPONENTS[0]), float(growth.EXPONENTS[-1])
    return Growth(sizes, times, first, first, last, 0.0, (), growth.INCONCLUSIVE, reason)
