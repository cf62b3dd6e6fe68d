"""The data caches of this machine, as the operating system tells them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Level:
    """A cache. bytes: of one of them. sharers: processors of this process that use the same one."""

    name: str
    bytes: int
    sharers: int = 1

    def holds(self, workers: int) -> int:
        """Bytes that so many processors find in theirs."""
        return self.bytes * max(1, workers // max(self.sharers, 1))


def _bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    text = text.strip()
    return int(text[:-1]) * units[text[-1]] if text and text[-1] in units else int(text or 0)


def _members(text: str) -> set[int]:
    """Processors in a list as Linux writes it.

    >>> sorted(_members("0-2,5"))
    [0, 1, 2, 5]
    """
    out: set[int] = set()
    for one in filter(None, text.strip().split(",")):
        first, _, last = one.partition("-")
        out |= set(range(int(first), int(last or first) + 1))
    return out


def _processors() -> set[int]:
    given: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return given(0) if given is not None else set(range(os.cpu_count() or 1))


def levels(root: Path = Path("/sys/devices/system/cpu"), ours: set[int] | None = None) -> tuple[Level, ...]:
    """Data caches from small to large, as the operating system tells them; empty where it does not."""
    ours = _processors() if ours is None else ours
    found = {}
    for entry in sorted((root / f"cpu{min(ours)}" / "cache").glob("index*")):
        try:
            told = {key: (entry / key).read_text() for key in ("level", "type", "size", "shared_cpu_list")}
            if told["type"].strip() == "Instruction":
                continue
            name = f"L{int(told['level'])}"
            found[name] = Level(name, _bytes(told["size"]), max(1, len(_members(told["shared_cpu_list"]) & ours)))
        except (OSError, ValueError):
            continue
    return tuple(sorted(found.values(), key=lambda level: level.bytes))
