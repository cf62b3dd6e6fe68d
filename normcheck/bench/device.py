"""Where a call is timed: its clock, how one call is timed there, and how its caches are emptied.

Events and clocks are bound here, when the module is imported: before any implementation is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from normcheck.bench.caches import levels
from normcheck.bench.pairs import now
from normcheck.core.errors import UsageError

CPU, CUDA = "cpu", "cuda"

BEYOND = 2
"""Sizes of the last cache that are written to empty it."""

UNTOLD = 1 << 26
"""Bytes of a last cache that nobody tells of."""

_taken = {
    **{f"time.{name}": (time, name, getattr(time, name)) for name in ("perf_counter", "perf_counter_ns", "monotonic")},
    "time.time": (time, "time", time.time),
    "torch.cuda.synchronize": (torch.cuda, "synchronize", torch.cuda.synchronize),
    "torch.cuda.Event": (torch.cuda, "Event", torch.cuda.Event),
}


def tampered() -> str:
    """The first clock that is no longer the one of when this was imported; empty if all are."""
    return next((name for name, (module, key, own) in _taken.items() if getattr(module, key) is not own), "")


class Device(Protocol):
    """What timing needs of a device."""

    @property
    def name(self) -> str:
        """As torch writes it."""
        ...

    def clock(self) -> float:
        """Seconds, after all work is done."""
        ...

    def elapsed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        """What a call returns, and how long it took until all of its work was done, in seconds."""
        ...

    def evict(self) -> None:
        """Leave nothing of before in the caches."""
        ...

    def last_cache(self) -> int:
        """Bytes of its last cache; 0 where nobody tells."""
        ...


@dataclass(slots=True, eq=False)
class Host:
    """The processors that run Python: a call has ended when it returns."""

    name: str = CPU
    _other: torch.Tensor | None = None

    def clock(self) -> float:
        return now()

    def elapsed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        started = now()
        returned = run()
        return returned, now() - started

    def evict(self) -> None:
        if self._other is None:
            self._other = torch.zeros(BEYOND * (self.last_cache() or UNTOLD) // 4)
        self._other.add_(1.0)

    def last_cache(self) -> int:
        told = levels()
        return told[-1].bytes if told else 0


@dataclass(slots=True, eq=False)
class Cuda:
    """A CUDA device: events around the call, and every stream of the device waited for between them.

    Work on another stream than the caller's is in the time, whoever started it. cuda, zeros: torch's, taken before
    an implementation is there; a test puts others in their place.
    """

    name: str = CUDA
    cuda: Any = torch.cuda
    zeros: Callable[..., Any] = torch.zeros
    event: Any = torch.cuda.Event
    synchronize: Callable[..., Any] = torch.cuda.synchronize
    _other: Any = field(default=None)

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
        if self._other is None:
            self._other = self.zeros(BEYOND * (self.last_cache() or UNTOLD) // 4, device=self.name)
        self._other.add_(1.0)

    def last_cache(self) -> int:
        return int(getattr(self.cuda.get_device_properties(self.name), "L2_cache_size", 0))


HOST = Host()


def of(name: str, cuda: Any = torch.cuda) -> Device:
    """The device of that name. Raises `UsageError` for one that is not there."""
    kind, _, number = name.partition(":")
    if kind == CPU and not number:
        return HOST
    if kind != CUDA or (number and not number.isdecimal()):
        raise UsageError(f"--norm-device {name}: known are {CPU}, {CUDA} and {CUDA}:N")
    count = int(cuda.device_count()) if cuda.is_available() else 0
    if int(number or 0) >= count:
        there = f"torch sees {count} of them" if count else "torch sees none on this machine"
        raise UsageError(f"--norm-device {name}: there is no such CUDA device, {there}; leave the option out for {CPU}")
    return Cuda(name, cuda)
