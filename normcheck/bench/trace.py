"""The steps of a profiled call, and the memory that is held over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

REGION = "normcheck::"
"""Prefix of the names of the profile's regions, one for each pass."""


@dataclass(frozen=True, slots=True)
class TensorCopy:
    """A tensor's content copied into another: shape, dtypes by name, and bytes of one entry of the target."""

    shape: tuple[int, ...]
    source: str
    to: str
    itemsize: int

    @property
    def entries(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.entries * self.itemsize


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One allocation (bytes > 0), release (bytes < 0) or copy of a tensor's content.

    part: the pass. path: the operators in which it happened, outermost first, below the region of its pass.
    pointer: address of the memory.
    """

    part: str
    path: tuple[str, ...]
    bytes: int = 0
    pointer: int = 0
    copy: TensorCopy | None = None


@dataclass(frozen=True, slots=True)
class AllocationHistory:
    """Memory over the steps, in bytes. peak: the most held at once. left: held at the end of each pass.

    blocks: every allocation, and whether it was still held at the end.
    """

    peak: int
    left: Mapping[str, int]
    blocks: tuple[tuple[TraceStep, bool], ...]


def follow_allocations(steps: Iterable[TraceStep]) -> AllocationHistory:
    """Add up allocations and releases; the release of memory that was allocated before the steps is not counted."""
    held: dict[int, int] = {}
    blocks: list[TraceStep] = []
    released: set[int] = set()
    now = peak = 0
    left: dict[str, int] = {}
    for step in steps:
        if step.bytes > 0:
            held[step.pointer] = len(blocks)
            blocks.append(step)
            now += step.bytes
        elif step.bytes < 0 and step.pointer in held:
            index = held.pop(step.pointer)
            released.add(index)
            now -= blocks[index].bytes
        peak = max(peak, now)
        if step.part:
            left[step.part] = now
    return AllocationHistory(peak, left, tuple((step, i not in released) for i, step in enumerate(blocks)))
