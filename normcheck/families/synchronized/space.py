"""The divided inputs that checks of this family draw: a case follows from a draw, which is a few numbers and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64, FORMATS, Array, Format
from normcheck.core.space import ChoiceSpace
from normcheck.families.synchronized.case import DIVIDED, REPLICATED, SEQUENCE, WRAPPERS, Group, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.subject import SynchronizedSubject
from normcheck.normalizers.case import Case

SHARDS: dict[str, tuple[int, ...]] = {
    "equal": (4, 4, 4, 4),
    "unequal": (2, 5, 3, 7),
    "single": (6, 1, 3, 4),
    "empty": (3, 0, 5, 2),
    "empty-first": (0, 4, 3, 2),
    "many": (41, 29, 2, 1),
}
"""How an input is divided: the sizes of the shards, of which the first k are those of k processes."""

CHUNKS = "chunks"
"""Another division: shards as torch.chunk makes them, all equal but a last one that is smaller."""


def sizes_of(draw: SynchronizedDraw, entry: Synchronized) -> tuple[int, ...]:
    """The sizes of the shards of all processes."""
    if draw.width and entry.divides_parameters:
        return (draw.width,) * draw.ranks
    return (4,) * (draw.ranks - 1) + (3,) if draw.shards == CHUNKS else SHARDS[draw.shards][: draw.ranks]


POSITIONS: dict[int, tuple[int, ...]] = {2: (), 3: (3,), 4: (2, 2)}
"""The axes beside those of cases and units, by the number of axes."""

MANY = 1000
"""Positions of one case, so that the members of a set are more than a half-precision format can count."""


@dataclass(frozen=True, slots=True)
class SynchronizedDraw:
    """The choices of one case; everything else follows from the seed."""

    seed: int = 0
    ranks: int = 3
    shards: str = "unequal"
    groups: str = "all"
    format: str = FLOAT64.name
    data: str = "plain"
    axes: int = 2
    units: int = 3
    affine: bool = True
    training: bool = True
    eps: float = 2.0**-10
    width: int = 0  # channels, or width of each shard, of a layer that has its own; 0: as drawn
    momentum: float = 0.25
    wrapper: str = ""
    placement: str = DIVIDED


def placements_of(entry: Synchronized) -> tuple[str, ...]:
    """The placements of a DTensor of which the entry says what its gradients are.

    Whole rows may be divided along any axis of theirs. A local gradient of a parameter is that of a shard, so there is
    none where nothing is divided.
    """
    local = not (entry.divides_parameters or entry.reduces_parameters)
    return (DIVIDED, *([] if entry.divides_sets else [SEQUENCE]), *([] if local else [REPLICATED]))


def groups_of(ranks: int, how: str) -> tuple[Group, ...]:
    """The groups of so many ranks: all in one, or every second one in one, so that a rank differs from its place."""
    if how == "all":
        return (tuple(range(ranks)),)
    return tuple(range(ranks)[0::2]), tuple(range(ranks)[1::2])


def _offset(format: Format) -> float:
    """A mean so large that it costs a one-pass variance all digits, and a sound one few."""
    return 4.0 if format.narrow else 2.0**13


def _shape(entry: Synchronized, draw: SynchronizedDraw, sizes: tuple[int, ...]) -> tuple[int, ...]:
    total, space = sum(sizes), POSITIONS[draw.axes]
    if entry.axis != 0:
        return (draw.units + 1, *space, total)
    units = draw.width or draw.units
    if draw.placement == SEQUENCE:  # (cases, sequence, *space, width)
        return (draw.units + 1, total, *POSITIONS[max(draw.axes, 3)][1:], units)
    if entry.state:  # (cases, channels, *space); the others are (cases, *space, width)
        return (total, units, *space)
    return (total, *space, units)


def _values(rng: np.random.Generator, shape: tuple[int, ...], draw: SynchronizedDraw, sizes: tuple[int, ...],
            axis: int) -> Array:  # fmt: skip
    """Shards that differ in mean and in deviation."""
    place = [-1 if i == axis % len(shape) else 1 for i in range(len(shape))]
    level = np.repeat(rng.uniform(-2.0, 2.0, len(sizes)), sizes).reshape(place)
    width = np.repeat(rng.uniform(0.5, 2.0, len(sizes)), sizes).reshape(place)
    offset = _offset(FORMATS[draw.format]) if draw.data == "offset" else 0.0
    return np.asarray(rng.standard_normal(shape) * width + level + offset)


def ranks_case(entry: Synchronized, draw: SynchronizedDraw) -> RanksCase:
    """The case of a draw."""
    rng, format = np.random.default_rng(draw.seed), FORMATS[draw.format]
    sizes = sizes_of(draw, entry)
    return _made(entry, draw, rng, format, _shape(entry, draw, sizes), sizes)


def many_case(entry: Synchronized, draw: SynchronizedDraw) -> RanksCase:
    """The same with one channel of a thousand positions in each case."""
    rng, format = np.random.default_rng(draw.seed), FORMATS[draw.format]
    sizes = sizes_of(draw, entry)
    return _made(entry, draw, rng, format, (sum(sizes), draw.width or 1, MANY), sizes)


def _made(
    entry: Synchronized, draw: SynchronizedDraw, rng: np.random.Generator, format: Format, shape: tuple[int, ...],
    sizes: tuple[int, ...],
) -> RanksCase:  # fmt: skip
    units = shape[1] if entry.state else shape[-1]
    axis = 1 if draw.placement == SEQUENCE else entry.axis
    normalizer = entry.normalizer
    weighted, biased = draw.affine and normalizer.weight, draw.affine and normalizer.bias
    joined = Case(
        x=format.round(_values(rng, shape, draw, sizes, axis)),
        eps=draw.eps,
        format=format,
        weight=format.round(rng.uniform(0.5, 2.0, units)) if weighted else None,
        bias=format.round(rng.standard_normal(units)) if biased else None,
        dy=format.round(rng.standard_normal(shape) + rng.standard_normal((shape[0], *[1] * (len(shape) - 1)))),
        training=draw.training,
        running_mean=format.round(rng.standard_normal(units)) if entry.state else None,
        running_var=format.round(rng.uniform(0.5, 2.0, units)) if entry.state else None,
        momentum=draw.momentum,
        drawn={"seed": draw.seed, "data": draw.data},
    )
    groups = groups_of(draw.ranks, draw.groups)
    held = (sum(sizes),) * len(sizes) if draw.placement == REPLICATED else sizes
    return RanksCase(joined, held, groups, axis, entry.divides_parameters, draw.wrapper, draw.placement)


@dataclass(frozen=True, slots=True)
class SynchronizedSpace(ChoiceSpace):
    """The choices of a check of this family; the first of each is the plain one."""

    entries: ClassVar[type] = Synchronized
    plain: ClassVar[SynchronizedDraw] = SynchronizedDraw()

    recipe: Callable[[Synchronized, SynchronizedDraw], RanksCase] = ranks_case
    format: tuple[str, ...] = tuple(FORMATS)
    ranks: tuple[int, ...] = (3, 2, 4)
    shards: tuple[str, ...] = ("unequal", "equal", "single")
    groups: tuple[str, ...] = ("all",)
    data: tuple[str, ...] = ("plain", "offset")
    axes: tuple[int, ...] = (2, 3, 4)
    units: tuple[int, ...] = (3, 1, 8)
    affine: tuple[bool, ...] = (True, False)
    training: tuple[bool, ...] = (True,)
    eps: tuple[float, ...] = (2.0**-10, 0.25)
    placement: tuple[str, ...] = (DIVIDED,)

    def able(self, subject: SynchronizedSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves: its number of processes, and its own eps, size and momentum if any."""
        able, fixed = subject.domain, subject.contract.eps
        if able.shards:
            choices = choices | {"shards": able.shards if "equal" in choices["shards"] else ()}
        affine = tuple(there for there in choices["affine"] if (able.affine if there else able.bare))
        groups = tuple(how for how in choices["groups"] if able.groups or how == "all")
        own = {name: (value,) for name, value in {"width": able.units, "momentum": able.momentum}.items() if value}
        return {
            **choices,
            **own,
            "ranks": (int(subject.contract.ranks),),
            "affine": affine or (able.affine,),
            "groups": groups,
            "placement": tuple(
                one for one in choices["placement"] if one in able.placements and one in placements_of(subject.entry)
            )
            or (DIVIDED,),
            "eps": choices["eps"] if fixed is None else (fixed,),
        }

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return (
            f"Formats {', '.join(self.format)}; {min(self.ranks)} to {max(self.ranks)} processes; shards: "
            f"{', '.join(self.shards)}; groups: {', '.join(self.groups)}; {min(self.axes)} to {max(self.axes)} axes, "
            f"up to {max(self.units)} channels."
        )


@dataclass(frozen=True, slots=True)
class WrappedSpace(SynchronizedSpace):
    """The same below the wrappers of torch, which have all processes as one group."""

    shards: tuple[str, ...] = ("unequal", "equal")
    format: tuple[str, ...] = (FLOAT64.name, FLOAT32.name, BFLOAT16.name)
    axes: tuple[int, ...] = (2, 3)
    data: tuple[str, ...] = ("plain",)
    eps: tuple[float, ...] = (2.0**-10,)
    affine: tuple[bool, ...] = (True,)
    wrapper: tuple[str, ...] = WRAPPERS

    def able(self, subject: SynchronizedSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The wrappers below which the subject can run."""
        served = tuple(one for one in choices["wrapper"] if one in subject.domain.wrappers)
        return SynchronizedSpace.able(self, subject, choices | {"wrapper": served})

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return f"{SynchronizedSpace.words(self)[:-1]}; below {', '.join(self.wrapper)}."
