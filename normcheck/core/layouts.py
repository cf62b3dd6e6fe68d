"""Memory layouts of an array: strides, offset and surrounding buffer, as plain integers without any framework.

An array is placed inside a longer buffer filled with NaN. A read outside the array then makes the result NaN, and a
write outside the array changes the buffer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 5
"""Number of NaN entries before and after the array."""

NAMES = (
    "contiguous", "transposed", "row slice", "every second", "padded rows", "expanded", "channels last",
    "channels last slice", "wild unit stride",
)  # fmt: skip
"""The layouts that the arrays of every framework with strides can have."""

REVERSED = "reversed"
"""The layout with negative strides, as of x[::-1]; not every framework has them."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Strides, offset, and length of the buffer including its margins; all in entries, not bytes."""

    strides: tuple[int, ...]
    offset: int
    length: int


def _dense(shape: tuple[int, ...], order: tuple[int, ...]) -> list[int]:
    """Strides of a packed array whose axes are stored in `order`; the last axis of `order` varies fastest."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return strides


def applies(shape: tuple[int, ...], name: str) -> bool:
    """Whether a layout is possible for a shape, and differs from the contiguous layout."""
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
        REVERSED: wide > 0,
    }
    return possible.get(name, True)


def geometry(shape: tuple[int, ...], name: str) -> Geometry:
    """Strides and offset of a layout for a shape. Every layout except "contiguous" has a nonzero offset.

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
    elif name == REVERSED:
        strides = [-stride for stride in strides]
        offset += math.prod(shape) - 1
    last = offset + sum((size - 1) * max(stride, 0) for size, stride in zip(shape, strides, strict=True) if size > 0)
    return Geometry(tuple(strides), offset, last + 1 + (0 if name == "contiguous" else MARGIN))


def of_parameters(offered: Iterable[str]) -> tuple[str, ...]:
    """The layouts, except contiguous, of arrays other than the input; offered: those of the input.

    An implementation may refuse layouts of its input; negative strides are there only if the framework has them.

    >>> of_parameters(("transposed",)) == NAMES[1:]
    True
    """
    return (*NAMES[1:], REVERSED) if REVERSED in offered else NAMES[1:]
