"""How the numbers of an array lie in memory: strides, offset and what is around them. Plain integers, no framework.

An array is placed inside a longer buffer filled with NaN, so that a read outside of it shows in the result, and a
write outside of it shows in the buffer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MARGIN = 5
"""Entries of NaN before and after the array."""

NAMES = (
    "contiguous", "transposed", "row slice", "every second", "padded rows", "expanded", "channels last",
    "channels last slice", "wild unit stride",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Geometry:
    """Strides and offset, in entries, and the length of the buffer that holds them with margins."""

    strides: tuple[int, ...]
    offset: int
    length: int


def _dense(shape: tuple[int, ...], order: tuple[int, ...]) -> list[int]:
    """Strides that pack the axes in an order, the last of it fastest."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return strides


def applies(shape: tuple[int, ...], name: str) -> bool:
    """Whether a layout is possible for a shape, and different from a contiguous one."""
    rank = len(shape)
    if math.prod(shape) == 0:
        return name == "contiguous"
    wide = sum(size > 1 for size in shape)
    possible = {
        "transposed": wide > 1,
        "row slice": rank > 1,
        "every second": shape[-1:] != (1,) and rank > 0,
        "padded rows": rank > 1,
        "expanded": shape[:1] != (1,) and rank > 1,
        "channels last": rank in (4, 5) and wide > 1,
        "channels last slice": rank in (4, 5),
        "wild unit stride": 1 in shape,
    }
    return possible.get(name, True)


def geometry(shape: tuple[int, ...], name: str) -> Geometry:
    """Where the entries of a layout lie. The first entry of every layout but "contiguous" has an offset.

    >>> geometry((2, 3), "transposed").strides
    (1, 2)
    """
    rank = len(shape)
    order = tuple(range(rank))
    offset = 0 if name == "contiguous" else MARGIN
    strides = _dense(shape, order)
    if name == "transposed":
        strides = _dense(shape, order[::-1])
    elif name == "row slice":
        offset += strides[0]
    elif name == "every second":
        strides = [2 * stride for stride in strides]
    elif name == "padded rows":
        strides = _dense((*shape[:-1], shape[-1] + 3), order)
    elif name == "expanded":
        strides = [0, *_dense(shape[1:], order[:-1])]
    elif name.startswith("channels last"):
        strides = _dense(shape, (0, *order[2:], 1))
        offset += strides[0] if name.endswith("slice") else 0
    elif name == "wild unit stride":
        strides = [7 * max(math.prod(shape), 1) + 3 if size == 1 else s for size, s in zip(shape, strides, strict=True)]
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True) if size > 0)
    return Geometry(tuple(strides), offset, last + 1 + (0 if name == "contiguous" else MARGIN))
