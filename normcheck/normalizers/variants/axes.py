"""Statistics over other axes of an input than the right ones, whatever its rank: axes as code names them, 1 or -2."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.faults.structure import grouped, trailing
from normcheck.normalizers.normalizer import Normalizer, Partition
from normcheck.normalizers.variants.variant import variant

NAME = "statistics-over-wrong-axis"

Axes = Callable[[int], tuple[int, ...]]
"""Axes of an array from its rank; those that it does not have are left out."""


@dataclass(frozen=True)
class AxesPartition(Partition):
    """Sets over axes of the input as it is, or as it is reshaped.

    view: the shape of the input, or that of (cases, groups, units of a group, *space). over: the axes whose entries
    share a statistic. kept: the others, with the axis of channels last, over which running statistics are averaged.
    """

    view: tuple[int, ...]
    over: tuple[int, ...]
    kept: tuple[int, ...]

    @cached_property
    def n(self) -> int:
        return _size(self.view, self.over)

    @cached_property
    def sets(self) -> int:
        return _size(self.view, self.kept)

    def gather(self, x: Array) -> Array:
        return x.reshape(self.view).transpose(self.kept + self.over).reshape(self.sets, self.n)

    def scatter(self, flat: Array) -> Array:
        order = self.kept + self.over
        moved = flat.reshape([self.view[a] for a in order])
        return moved.transpose([order.index(a) for a in range(len(order))]).reshape(self.shape)

    def per_set(self, statistic: Array) -> Array:
        return self.scatter(statistic.reshape(self.sets, 1).repeat(self.n, axis=1))


def _size(view: tuple[int, ...], axes: Sequence[int]) -> int:
    return math.prod(view[axis] for axis in axes)


def over(axes: Axes, *, by_group: bool = False) -> Callable[[Partition, Case], Partition]:
    """Statistics over these axes in training. by_group: of (cases, groups, units of a group, *space)."""

    def repartition(part: Partition, case: Case) -> Partition:
        cases, groups, units, _ = part.seen
        view = (cases, groups, units, *part.shape[2:]) if by_group else part.shape
        rank = len(view)
        members = tuple(sorted({axis % rank for axis in axes(rank) if -rank <= axis < rank}))
        if math.prod(view) != math.prod(part.shape):
            return part  # another fault has made other groups
        if not members or not case.training or (case.running_mean is not None and 1 in members):
            return part  # each unit has running statistics of its own
        kept = tuple(a for a in range(rank) if a not in members)
        kept = tuple(a for a in kept if a != 1) + tuple(a for a in kept if a == 1)
        own = {one.name: getattr(part, one.name) for one in fields(Partition)}
        return AxesPartition(**own, view=view, over=members, kept=kept)

    return repartition


def _from(first: int) -> Axes:
    """All axes from one on; the last axis where there are none."""
    return lambda rank: tuple(range(min(first, rank - 1), rank))


def _last(count: int) -> Axes:
    return lambda rank: tuple(range(max(rank - count, 0), rank))


def _one(axis: int) -> Axes:
    """One axis, or the last where the array has too few."""
    return lambda rank: (axis if -rank <= axis < rank else -1,)


def _but(*left_out: int) -> Axes:
    """All axes but these."""
    return lambda rank: tuple(a for a in range(rank) if a not in left_out and a - rank not in left_out)


WHOLE: tuple[Axes, ...] = (
    *(_from(first) for first in (1, 2, 3)), *(_last(count) for count in (1, 2, 3)),
    *(_one(axis) for axis in (0, 1, 2, 3, -2, -3)),
    _but(1), _but(-1), _but(0, -1), _but(1, -1), _but(0, 1, -1), _but(0, 2), _but(2),
)  # fmt: skip
"""Axes of an input that code normalizes over by mistake."""

BY_GROUP: tuple[Axes, ...] = (
    _one(2), _from(3), _last(1), _last(2), _but(0, 1, 3), _but(0, 1, -1), _but(0, 2), _but(0, 3),
    lambda rank: (2, rank - 1),
)  # fmt: skip
"""Axes of (cases, groups, units of a group, *space), likewise."""


def of_axes(normalizer: Normalizer) -> Iterator[Fault]:
    """Statistics over axes that are not the right ones of a normalizer of activations."""
    yield from (variant(NAME, repartition=over(axes)) for axes in WHOLE)
    if grouped(normalizer) and not trailing(normalizer):
        yield from (variant(NAME, repartition=over(axes, by_group=True)) for axes in BY_GROUP)
