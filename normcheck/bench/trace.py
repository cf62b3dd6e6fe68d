"""What a call allocates, releases and moves, in order, as torch's profiler tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile

from normcheck.core.foreign_code import quiet

REGION = "normcheck::"
"""Begins the names of the profiler's regions, one for each pass."""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One allocation (bytes > 0), release (bytes < 0) or move of a tensor's content.

    path: the operators that it happened in, outermost first, below the region of its pass. pointer: of the memory.
    moved: where content was moved, its shape, and the dtypes from which and to which.
    """

    part: str
    path: tuple[str, ...]
    bytes: int = 0
    pointer: int = 0
    moved: tuple[tuple[int, ...], str, str] | None = None


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _steps(event: Any, part: str, path: tuple[str, ...]) -> Iterator[TraceStep]:
    """Steps of an event and of those in it, in order."""
    name = event.name
    if event.tag.name == "Allocation":
        yield TraceStep(part, path, event.extra_fields.alloc_size, event.extra_fields.ptr)
        return
    if name.startswith(REGION):
        part, path = name.removeprefix(REGION), ()
    else:
        path = (*path, name)
    if name == "aten::copy_" and part:
        to, source = event.extra_fields.inputs[:2]
        if hasattr(to, "dtype") and hasattr(source, "dtype"):
            yield TraceStep(part, path, moved=(tuple(to.sizes), _dtype(source), _dtype(to)))
    for child in event.children:
        yield from _steps(child, part, path)


def traced(run: Callable[[], Any]) -> tuple[Any, tuple[TraceStep, ...]]:
    """What a call returned, and what happened within the regions of its passes; releases also between them."""
    with quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=True) as seen:
        returned = run()
    results = seen.profiler.kineto_results if seen.profiler is not None else None
    roots = results.experimental_event_tree() if results is not None else ()
    steps = (step for root in roots for step in _steps(root, "", ()))
    return returned, tuple(step for step in steps if step.part or step.bytes < 0)


@dataclass(frozen=True, slots=True)
class Live:
    """Memory over the steps: the most at once, what is left at the end of each pass, and who allocated it."""

    peak: int
    left: Mapping[str, int]
    blocks: tuple[tuple[TraceStep, bool], ...]  # every allocation, and whether it was there at the end


def live(steps: Iterable[TraceStep]) -> Live:
    """Follow allocations and releases; the release of memory from before is not counted."""
    held: dict[int, int] = {}
    blocks: list[TraceStep] = []
    gone: set[int] = set()
    now = peak = 0
    left: dict[str, int] = {}
    for step in steps:
        if step.bytes > 0:
            held[step.pointer] = len(blocks)
            blocks.append(step)
            now += step.bytes
        elif step.bytes < 0 and step.pointer in held:
            index = held.pop(step.pointer)
            gone.add(index)
            now -= blocks[index].bytes
        peak = max(peak, now)
        if step.part:
            left[step.part] = now
    return Live(peak, left, tuple((step, i not in gone) for i, step in enumerate(blocks)))
