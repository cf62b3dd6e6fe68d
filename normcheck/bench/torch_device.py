"""The devices of torch: clocks, synchronization, eviction of caches, ways to move bytes, and peak memory.

Events and clocks are bound when this module is imported, which is before any implementation is imported: an
implementation that replaces one of them does not change what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from normcheck.bench.bandwidth import PreparedStream, Stream
from normcheck.bench.caches import CacheLevel, cache_levels
from normcheck.bench.device import Device
from normcheck.bench.pairs import now
from normcheck.core.device import DEVICE, PROCESSOR
from normcheck.core.errors import UsageError

CPU, CUDA = PROCESSOR, "cuda"

EVICTION_MULTIPLE = 2
"""Bytes written to evict the caches, in sizes of the last cache: more than one, because caches do not replace their
oldest lines exactly."""

ASSUMED_CACHE = 1 << 26
"""Bytes of a last cache of unknown size: 64 MiB, more than most processors and GPUs have."""

CUDA_BLOCK = 512
"""Bytes to which torch's caching allocator for CUDA rounds up (kMinBlockSize in its source)."""

_ORIGINAL_CLOCKS = {
    **{f"time.{name}": (time, name, getattr(time, name)) for name in ("perf_counter", "perf_counter_ns", "monotonic")},
    "time.time": (time, "time", time.time),
    "torch.cuda.synchronize": (torch.cuda, "synchronize", torch.cuda.synchronize),
    "torch.cuda.Event": (torch.cuda, "Event", torch.cuda.Event),
}


def replaced_clock() -> str:
    """The name of the first clock that was replaced since this module was imported; empty if none was."""
    return next((name for name, (module, key, own) in _ORIGINAL_CLOCKS.items() if getattr(module, key) is not own), "")


def threads() -> int:
    """Number of threads that torch's operators use."""
    return torch.get_num_threads()


def _copy(size: int, device: str) -> PreparedStream:
    count = max(1, size // 8)
    source, target = torch.ones(count, device=device), torch.zeros(count, device=device)
    return lambda: target.copy_(source), 8 * count


def _copy_by_one_thread(size: int) -> PreparedStream:
    """Through the C library, which bypasses the caches where that is faster."""
    count = max(1, size // 8)
    source, target = np.ones(count, np.float32), np.zeros(count, np.float32)
    return lambda: np.copyto(target, source), 8 * count


def _sum_of_two(size: int, device: str) -> PreparedStream:
    count = max(1, size // 12)
    one, two, target = (torch.ones(count, device=device) for _ in range(3))
    return lambda: torch.add(one, two, out=target), 12 * count


def _streams(device: str) -> tuple[Stream, ...]:
    return (
        Stream("copy", lambda size: _copy(size, device)),
        Stream("sum of two", lambda size: _sum_of_two(size, device)),
    )


def _eviction_bytes(caches: tuple[CacheLevel, ...]) -> int:
    return EVICTION_MULTIPLE * (caches[-1].bytes if caches else ASSUMED_CACHE)


@dataclass(slots=True, eq=False)
class Host:
    """The processors that run Python: a call has ended when it returns. Its memory is counted by a profile."""

    name: str = CPU
    allocation_block: int = 1
    _buffer: torch.Tensor | None = None

    def clock(self) -> float:
        return now()

    def elapsed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        started = now()
        returned = run()
        return returned, now() - started

    def evict(self) -> None:
        if self._buffer is None:
            self._buffer = torch.zeros(_eviction_bytes(self.caches()) // 4)
        self._buffer.add_(1.0)

    def caches(self) -> tuple[CacheLevel, ...]:
        return cache_levels()

    def cache_users(self) -> int:
        return threads()

    def streams(self) -> tuple[Stream, ...]:
        return (*_streams(self.name), Stream("copy by one thread", _copy_by_one_thread))

    def peak(self, _: Callable[[], Any], /) -> int | None:
        return None


@dataclass(slots=True, eq=False)
class Cuda:
    """A CUDA device: a call is timed by events, with a synchronization of the whole device between them.

    The time therefore includes work on other streams than the caller's, whoever started it.
    cuda, zeros, event, synchronize: torch's own, bound before any implementation is imported; tests replace them.
    """

    name: str = CUDA
    cuda: Any = torch.cuda
    zeros: Callable[..., Any] = torch.zeros
    event: Any = torch.cuda.Event
    synchronize: Callable[..., Any] = torch.cuda.synchronize
    allocation_block: int = CUDA_BLOCK
    _buffer: Any = field(default=None)

    def clock(self) -> float:
        self.synchronize()
        return now()

    def elapsed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        first, last = self.event(enable_timing=True), self.event(enable_timing=True)
        self.synchronize()
        first.record()
        returned = run()
        self.synchronize()
        last.record()
        last.synchronize()
        return returned, 1e-3 * float(first.elapsed_time(last))

    def evict(self) -> None:
        if self._buffer is None:
            self._buffer = self.zeros(_eviction_bytes(self.caches()) // 4, device=self.name)
        self._buffer.add_(1.0)

    def caches(self) -> tuple[CacheLevel, ...]:
        size = int(getattr(self.cuda.get_device_properties(self.name), "L2_cache_size", 0))
        return (CacheLevel("L2", size),) if size else ()

    def cache_users(self) -> int:
        return 1  # all processors of a GPU share its last cache

    def streams(self) -> tuple[Stream, ...]:
        return _streams(self.name)

    def peak(self, run: Callable[[], Any], /) -> int | None:
        self.cuda.synchronize(self.name)
        self.cuda.reset_peak_memory_stats(self.name)
        before = self.cuda.memory_allocated(self.name)
        returned = run()
        self.cuda.synchronize(self.name)
        most = int(self.cuda.max_memory_allocated(self.name) - before)
        del returned
        return most


HOST = Host()


def use_device(name: str) -> Callable[[], None]:
    """Put the tensors of all cases on the device of that name; the returned function takes that back."""
    token = DEVICE.set(name)
    return lambda: DEVICE.reset(token)


def find_device(name: str, cuda: Any = torch.cuda) -> Device:
    """The device of that name: "cpu", "cuda" or "cuda:N". Raises `UsageError` if this machine does not have it."""
    kind, _, number = name.partition(":")
    if kind == CPU and not number:
        return HOST
    if kind != CUDA or (number and not number.isdecimal()):
        raise UsageError(f"--norm-device {name}: known are {CPU}, {CUDA} and {CUDA}:N")
    count = int(cuda.device_count()) if cuda.is_available() else 0
    if int(number or 0) >= count:
        visible = f"torch sees {count} of them" if count else "torch sees none on this machine"
        raise UsageError(
            f"--norm-device {name}: there is no such CUDA device, {visible}; leave the option out for {CPU}"
        )
    return Cuda(name, cuda)
