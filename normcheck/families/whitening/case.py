"""One batch that is to be whitened, and the answer to it: arrays and numbers, no functions of an implementation.

Also the layout of both: an input (cases, channels, *space) is whitened in groups of channels, as (groups, channels of
one group, members), where members are cases and positions together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from normcheck.core.floats import Array, Format


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningCase:
    """x and dy: (cases, channels, *space); weight, bias, running_mean: (channels,); running_cov: (groups, d, d)."""

    x: Array
    dy: Array
    weight: Array | None
    bias: Array | None
    running_mean: Array
    running_cov: Array
    eps: float
    momentum: float
    groups: int
    format: Format
    training: bool = True
    drawn: Mapping[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> WhiteningCase:
        """The same case with other values."""
        return replace(self, **changes)

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        return {
            "shape": list(self.x.shape),
            "format": self.format.name,
            "groups": self.groups,
            "eps": self.eps,
            "training": self.training,
            "weight": self.weight is not None,
            "bias": self.bias is not None,
            **self.drawn,
        }


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningAnswer:
    """Output, gradients and running statistics after the call, in float64, of the shapes that the case has.

    Gradients are None where they were not requested, statistics where the implementation keeps none.
    """

    y: Array
    dx: Array | None = None
    dweight: Array | None = None
    dbias: Array | None = None
    running_mean: Array | None = None
    running_cov: Array | None = None


def fold(a: Array, groups: int) -> Array:
    """(cases, channels, *space) as (groups, channels of one group, members)."""
    return np.moveaxis(a, 1, 0).reshape(groups, a.shape[1] // groups, -1)


def unfold(a: Array, shape: tuple[int, ...]) -> Array:
    """Back to the shape of the input."""
    return np.moveaxis(a.reshape(shape[1], shape[0], *shape[2:]), 0, 1)


def beside(values: Array, rank: int) -> Array:
    """One value for each channel, (channels,), as (1, channels, 1, ...), which broadcasts to an input of that rank."""
    return values.reshape(1, -1, *[1] * (rank - 2))


def per_channel(values: Array | None, shape: tuple[int, ...], default: float) -> Array:
    """A parameter as it broadcasts to an input of that shape; the default for every channel where it is None."""
    return beside(np.full(shape[1], default) if values is None else values, len(shape))


def channel_axes(rank: int) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return tuple(i for i in range(rank) if i != 1)
