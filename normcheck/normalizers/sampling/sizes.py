"""Cases of unusual size: no entries, odd shapes, very wide sets, very many sets. No code here loops over the sets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np

from normcheck.core.floats import FORMATS, Array, Format
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, has_weight, parameters, split

WIDE = ((1 << 18,), (1 << 19,))
"""Members of a set, for a forward and for a call with gradients: beyond every block size and sixteen bits.

A call with gradients needs about thirty arrays of that size: memory of a run has to stay below that of a framework.
"""

MANY = ((65_537,), (65_536, 65_535, 65_537))
"""Numbers of sets, for a forward and for a call with gradients, around 2^16: CUDA grids end at 65,535 in two axes."""

FEW = 5
"""Largest number of members where there are many sets, and of sets where they have many members."""

TRIPLE = 3
"""Members of each of many sets: no more than a statistic of their own needs, because time and memory grow with them."""

SEEN = 256
"""Numbers of sets below which one that is lost shows in a sum."""

HEAVY = 2.0**16
"""Factor on the cotangent of the last of many sets, so that a sum which loses that set is seen."""

POOL = 65_521
"""Random numbers drawn for one array; larger arrays repeat them. A prime, so that no two sets are equal."""

SPACES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((),),
    3: ((5,), (1,)),
    4: ((1, 1), (1, 7), (3, 5)),
    5: ((1, 3, 5), (1, 1, 1)),
}
"""Axes of positions by rank of the input: one pixel, and sizes that no vector length divides."""

COUNTS = ((3, 2, 3), (1, 3, 5), (2, 2, 6), (1, 1, 3), (5, 1, 6))
"""Cases, groups, and channels of a group; most are not powers of two."""

TRAILING: tuple[tuple[tuple[int, ...], int], ...] = (
    ((5,), 1), ((1, 3), 1), ((3, 5), 1), ((7, 1, 6), 1), ((2, 1, 3, 1, 5), 1),
    ((3, 5), 2), ((2, 1, 7), 2), ((2, 1, 3, 1, 5), 2),
)  # fmt: skip
"""Shapes with the number of normalized trailing axes: a single vector, one case, rank 5."""

ROWS = ((1, 7), (3, 5), (5, 3, 1), (2, 1, 3, 1, 5))
"""Shapes of weights."""

Shaped = tuple[tuple[int, ...], int, int]
"""Shape, groups, number of normalized trailing axes."""


def of_shape(normalizer: Normalizer, draw: Draw, shaped: Shaped) -> Case:
    """A case of a given shape. Each set is noise plus a slope, so no part of it has the statistics of the whole."""
    size, groups, normalized = shaped
    rng = np.random.default_rng(draw.seed)
    format = FORMATS[draw.format]
    part = normalizer.sets.over(size, groups=groups, normalized=normalized, dim=draw.dim)
    x, dy = _noise(rng, part.sets, part.n), _noise(rng, part.sets, part.n)
    dy += 0.25 * x + np.float32(0.5)
    x += np.linspace(-1.0, 4.0, part.n, dtype=np.float32)
    if part.sets >= SEEN:
        dy[-1] *= HEAVY
    count = math.prod(part.parameter)
    pooled = parameters(rng, (min(count, POOL),), format)
    weight, bias = (np.resize(values, part.parameter) for values in pooled)
    return Case(
        x=part.scatter(_held(x, format)),
        eps=draw.eps if normalizer.eps is not None else 0.0,
        format=format,
        weight=weight if has_weight(normalizer, draw) else None,
        bias=bias if normalizer.bias and draw.biased else None,
        dy=part.scatter(_held(dy, format)),
        groups=groups,
        normalized=normalized,
        dim=draw.dim if normalizer.sets.layout == "rows" else 0,
        part=0.25 if normalizer.partial else 1.0,
        drawn={"seed": draw.seed},
    )


def _noise(rng: np.random.Generator, sets: int, n: int) -> Array:
    """Normal numbers of shape (sets, n); `POOL` of them at most are drawn, and repeated."""
    return np.resize(rng.standard_normal(min(sets * n, POOL), dtype=np.float32), (sets, n))


def _held(values: Array, format: Format) -> Array:
    """Numbers of float32, rounded to the format, in float64."""
    return format.round(values) if format.narrow else values.astype(np.float64)


def shaped(normalizer: Normalizer, draw: Draw, sets: int, n: int) -> Shaped:
    """A shape with `sets` sets of about n members, of the draw's rank and along its axes."""
    rank, layout, members = draw.rank, normalizer.sets.layout, normalizer.sets.members
    if layout == "trailing":
        return (*(1,) * (rank - draw.normalized - 1), sets, *split(n, draw.normalized)), 1, draw.normalized
    if layout == "rows":
        axis, rest = (draw.dim or 0) % rank, (n, *(1,) * (rank - 2))
        return (*rest[:axis], sets, *rest[axis:]), 1, 1
    axes = rank - 2
    if "unit" in members:  # two sets are two groups; more than a few are cases
        groups = sets if sets <= FEW else 1
        units = n if axes == 0 or n <= TRIPLE else 2
        return (sets // groups, groups * units, *(split(max(1, n // units), axes) if axes else ())), groups, 1
    if "case" in members:
        cases = n if axes == 0 else max(1, n // 4)
        return (cases, sets, *(split(n // cases, axes) if axes else ())), 1, 1
    return (sets, 1, *split(n, axes)), 1, 1


def wide(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of two sets of n members, or of one if n is the largest of `WIDE`."""
    return of_shape(normalizer, draw, shaped(normalizer, draw, 2 if draw.n < max(WIDE[1]) else 1, draw.n))


def many(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of n sets of `TRIPLE` members, n that of the draw."""
    return of_shape(normalizer, draw, shaped(normalizer, draw, draw.n, TRIPLE))


def again(case: Case) -> Draw:
    """The draw of a case, as far as a case of another shape needs it."""
    affine = {(True, True): "both", (True, False): "weight", (False, True): "bias", (False, False): "none"}[
        case.weight is not None, case.bias is not None
    ]
    return Draw(
        seed=int(case.drawn["seed"]), rank=case.x.ndim, normalized=case.normalized, format=case.format.name,
        eps=case.eps, affine=affine, dim=case.dim,
    )  # fmt: skip


def fraction(normalizer: Normalizer, case: Case, by: int, *, fixed: bool = False) -> Case:
    """A case like a wide or a many one, smaller by a factor, from whose time that of the large one is estimated.

    fixed: the sizes of the layer are fixed, so a fraction of the cases is taken; of a single one, all.
    """
    if fixed:
        return _first_cases(normalizer, case, by)
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    sets, n = (part.sets, part.n // by) if part.n > FEW else (part.sets // by, part.n)
    draw = again(case)
    return of_shape(normalizer, draw, shaped(normalizer, draw, max(sets, 1), max(n, 2)))


def _first_cases(normalizer: Normalizer, case: Case, by: int) -> Case:
    if normalizer.sets.layout == "rows" or (normalizer.sets.layout == "trailing" and case.x.ndim == case.normalized):
        return case  # its first axis is no axis of cases
    few = slice(max(1, len(case.x) // by))
    return case.but(x=case.x[few], dy=None if case.dy is None else case.dy[few])


def odd(normalizer: Normalizer, case: Case, ranks: Sequence[int], normalized: Sequence[int]) -> Iterator[Case]:
    """Cases of odd shapes, otherwise like the given one, with at least two members in a set."""
    for shaped in _odd(normalizer, case, ranks, normalized):
        size, groups, k = shaped
        if normalizer.sets.over(size, groups=groups, normalized=k, dim=case.dim).n > 1:
            yield of_shape(normalizer, again(case), shaped)


def _odd(normalizer: Normalizer, case: Case, ranks: Sequence[int], normalized: Sequence[int]) -> Iterator[Shaped]:
    layout = normalizer.sets.layout
    if layout == "trailing":
        yield from ((size, 1, k) for size, k in TRAILING if k in normalized)
    elif layout == "rows":
        yield from ((size, 1, 1) for size in ROWS)
    else:
        counts = cycle(COUNTS)
        for space in (space for rank, spaces in SPACES.items() if rank in ranks for space in spaces):
            cases, groups, units = next(counts)
            groups = groups if "unit" in normalizer.sets.members else 1
            yield (cases, groups * units, *space), groups, 1


def hollows(normalizer: Normalizer, case: Case, *, fixed: bool = False) -> dict[str, int]:
    """What an input can have zero of, "sets" or "members" of a set, to the axis that is then cut to size 0.

    fixed: the sizes of the layer are fixed, so its sets keep their members. A weight without vectors is left out: no
    layer has one, and torch's function divides the integer zero by it, which ends the process.
    """
    if normalizer.acts_on == "weight":
        return {}
    trailing = normalizer.sets.layout == "trailing"
    first = "members" if "case" in normalizer.sets.members else "sets"
    rows = {} if trailing and case.x.ndim == case.normalized else {first: 0}  # a single set has no axis of sets
    return rows | ({"members": -1} if trailing and not fixed else {})


def hollow(case: Case, axis: int) -> Case:
    """The case with its input cut to size 0 along the first or the last axis, and its parameters accordingly."""

    def cut(array: Array | None, own: int) -> Array | None:
        return None if array is None else array[:0] if own == 0 else array[..., :0]

    x, dy = cut(case.x, axis), cut(case.dy, axis)
    assert x is not None
    if axis == 0:
        return case.but(x=x, dy=dy)
    return case.but(x=x, dy=dy, weight=cut(case.weight, axis), bias=cut(case.bias, axis))
