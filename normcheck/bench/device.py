"""What timing and memory measurements need of a device; `torch_device` implements it with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from normcheck.bench.bandwidth import Stream
from normcheck.bench.caches import CacheLevel


class Device(Protocol):
    """A device on which calls are timed and their memory is counted."""

    @property
    def name(self) -> str:
        """The name that the framework and `--norm-device` use."""
        ...

    @property
    def allocation_block(self) -> int:
        """Bytes: the allocator rounds the size of each tensor up to a multiple of this."""
        ...

    def clock(self) -> float:
        """The current time in seconds, read after all work of the device is done."""
        ...

    def elapsed(self, run: Callable[[], Any]) -> tuple[Any, float]:
        """The return value of a call, and the seconds until all of its work was done."""
        ...

    def evict(self) -> None:
        """Overwrite the caches, so that the next call finds none of its data there."""
        ...

    def caches(self) -> tuple[CacheLevel, ...]:
        """The data caches from small to large; empty if they are unknown."""
        ...

    def cache_users(self) -> int:
        """Number of processors that move bytes at the same time, each through its own caches."""
        ...

    def streams(self) -> tuple[Stream, ...]:
        """Ways to move bytes, of which the fastest measures the bandwidth."""
        ...

    def peak(self, run: Callable[[], Any], /) -> int | None:
        """The most bytes that a call held at once, above those held before it.

        Returns None, without a call, if the device does not count them: then a profile of the call does.
        """
        ...
