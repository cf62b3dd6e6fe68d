"""The data caches of this machine, as the operating system reports them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CacheLevel:
    """One level of cache. bytes: size of one cache. sharers: processors available to this process that share one."""

    name: str
    bytes: int
    sharers: int = 1

    def holds(self, workers: int) -> int:
        """Bytes that this many processors can keep in their caches of this level together."""
        return self.bytes * max(1, workers // max(self.sharers, 1))


def _bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    text = text.strip()
    return int(text[:-1]) * units[text[-1]] if text and text[-1] in units else int(text or 0)


def _members(text: str) -> set[int]:
    """The processors in a list of the form that Linux writes.

    >>> sorted(_members("0-2,5"))
    [0, 1, 2, 5]
    """
    out: set[int] = set()
    for one in filter(None, text.strip().split(",")):
        first, _, last = one.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def _processors() -> set[int]:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity is not None else set(range(os.cpu_count() or 1))


def cache_levels(root: Path = Path("/sys/devices/system/cpu"), ours: set[int] | None = None) -> tuple[CacheLevel, ...]:
    """Data caches from small to large; empty if the operating system does not report them.

    ours: the processors that this process may use.
    """
    ours = _processors() if ours is None else ours
    found = {}
    for entry in sorted((root / f"cpu{min(ours)}" / "cache").glob("index*")):
        try:
            texts = {key: (entry / key).read_text() for key in ("level", "type", "size", "shared_cpu_list")}
            if texts["type"].strip() == "Instruction":
                continue
            name = f"L{int(texts['level'])}"
            found[name] = CacheLevel(
                name, _bytes(texts["size"]), max(1, len(_members(texts["shared_cpu_list"]) & ours))
            )
        except (OSError, ValueError):
            continue
    return tuple(sorted(found.values(), key=lambda level: level.bytes))
