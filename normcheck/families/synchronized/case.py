"""One input that is divided among processes, and their answers: arrays and numbers, no functions of an implementation.

A process is named by its rank, 0 to k - 1. Groups are disjoint sets of ranks, each of which computes by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case

Group = tuple[int, ...]

DDP, FSDP2, META = "ddp", "fsdp2", "fsdp2-meta"
"""DistributedDataParallel; `fully_shard` of a layer that is built; the same of one on the meta device, filled later."""

WRAPPERS = (FSDP2, META, DDP)
"""The wrappers of torch that replicate or shard the parameters of a layer over all processes."""


DIVIDED, SEQUENCE, REPLICATED = "divided", "sequence", "replicated"
"""How the processes hold the input: along the axis of the entry; along axis 1, that of a sequence; each all of it."""

PLACEMENTS = (DIVIDED, SEQUENCE, REPLICATED)
"""The placements of a DTensor. A plain tensor tells nothing of its own, so it is a part along the entry's axis."""


@dataclass(frozen=True, slots=True, eq=False)
class RanksCase:
    """The joined input of all processes with its cotangent, and how both are divided."""

    joined: Case
    sizes: tuple[int, ...]  # of the shards, by rank
    groups: tuple[Group, ...]  # the ranks of each group, in ascending order
    axis: int  # of the input that is divided
    divides_parameters: bool  # weight and bias are divided too
    wrapper: str = ""  # below which the layer runs, of `WRAPPERS`; empty: none
    placement: str = DIVIDED  # of `PLACEMENTS`

    def but(self, **changes: Any) -> RanksCase:
        """The same division of a case with other values: names of fields of `joined`."""
        return replace(self, joined=self.joined.but(**changes))

    @property
    def ranks(self) -> range:
        """Every rank."""
        return range(len(self.sizes))

    @property
    def replicated(self) -> bool:
        """Whether every process has all of the input, and all of the parameters."""
        return self.placement == REPLICATED

    @property
    def use(self) -> str:
        """The wrapper or the placement, where it is not the plain one; empty otherwise."""
        return self.wrapper or (self.placement if self.placement != DIVIDED else "")

    @property
    def whole(self) -> bool:
        """Whether all processes are one group."""
        return len(self.groups) == 1

    def group_of(self, rank: int) -> Group:
        """The group of a rank."""
        return next(group for group in self.groups if rank in group)

    def spans(self, ranks: Sequence[int] | None = None) -> list[slice]:
        """Where the shards of these ranks lie in their joined input, one behind the other; of all if None."""
        if self.replicated:
            return [slice(0, self.sizes[rank]) for rank in (self.ranks if ranks is None else ranks)]
        sizes = [self.sizes[rank] for rank in (self.ranks if ranks is None else ranks)]
        return [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]

    def part(self, array: Array | None, span: slice) -> Array | None:
        """A part of an array of the input's shape, or of a parameter that is divided as the input is."""
        if array is None:
            return None
        axis = self.axis % array.ndim
        return array[(slice(None),) * axis + (span,)]

    def of_group(self, group: Group) -> Case:
        """The joined input of one group."""
        if self.replicated:
            return self.joined
        spans = [self.spans()[rank] for rank in group]
        case = self.joined

        def joined(array: Array | None) -> Any:
            return (
                None if array is None else np.concatenate([_known(self.part(array, span)) for span in spans], self.axis)
            )

        changes = {"x": joined(case.x), "dy": joined(case.dy)}
        if self.divides_parameters:
            changes |= {"weight": joined(case.weight), "bias": joined(case.bias)}
        return case.but(**changes)

    def shards(self) -> Iterator[RankCase]:
        """What each process is given, by rank."""
        case = self.joined
        for rank, span in zip(self.ranks, self.spans(), strict=True):
            cut = (
                (lambda array, span=span: self.part(array, span)) if self.divides_parameters else (lambda array: array)
            )
            yield RankCase(
                x=_known(self.part(case.x, span)), dy=_known(self.part(case.dy, span)), weight=cut(case.weight),
                bias=cut(case.bias), running_mean=case.running_mean, running_var=case.running_var, eps=case.eps,
                momentum=case.momentum, training=case.training, format=case.format.name, groups=self.groups, rank=rank,
                axis=None if self.replicated else self.axis % case.x.ndim, total=case.x.shape[self.axis],
                wrapper=self.wrapper,
            )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """The case in a few plain values."""
        groups = {} if self.whole else {"groups": [list(group) for group in self.groups]}
        use = {"wrapper": self.wrapper} if self.wrapper else {"placement": self.placement} if self.use else {}
        return self.joined.describe() | {"shards": list(self.sizes), "axis": self.axis} | groups | use


def _known(array: Array | None) -> Array:
    assert array is not None, "a case of several processes has an input and a cotangent"
    return array


@dataclass(frozen=True, slots=True, eq=False)
class RankCase:
    """What one process is given: its shard of input and cotangent, parameters, running statistics, and the groups."""

    x: Array
    dy: Array
    weight: Array | None
    bias: Array | None
    running_mean: Array | None
    running_var: Array | None
    eps: float
    momentum: float
    training: bool
    format: str
    groups: tuple[Group, ...]
    rank: int
    axis: int | None  # of the input that is divided; None: none is, every process has all of it
    total: int  # size in the joined input of the axis that is divided, or would be
    wrapper: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RankAnswer:
    """What one process returned, in float64.

    Gradients are None where they were not requested, statistics where the implementation keeps none. placement: of the
    output, where it was returned in another than that of the input.
    """

    y: Array
    dx: Array | None = None
    dweight: Array | None = None
    dbias: Array | None = None
    running_mean: Array | None = None
    running_var: Array | None = None
    placement: str = ""
