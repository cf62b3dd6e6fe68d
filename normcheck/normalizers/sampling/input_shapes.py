"""Input shapes that a contract names: whether an implementation takes them, and the draws that ask them.

The widths of the suite lie around thresholds of kernels. What fails at a shape of a project alone, as a tail of 5,000
members, is found by a case of that very shape. Work stays bounded: axes of independent sets are cut, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from normcheck.core.contract import shape_words
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw
from normcheck.normalizers.subject import Domain

Shape = tuple[int, ...]

KEY = "input-shapes"
"""Key of the contract, and of the note on shapes that are cut."""

ENTRIES, MANY_ENTRIES = 1 << 15, 1 << 18
"""Entries of a case beyond which axes are cut, and the same in checks that try threshold widths: these are about sizes,
and are asked in every format. All checks of a kind take some seconds on such a shape."""

MEMBERS = 1 << 19
"""Most members of a set that cannot be cut: the widest set of the suite. Beyond it a reference takes seconds."""

LEAST = 2
"""What an axis is cut to at least, so that a set still has a neighbor that it must not depend on."""

PLAIN = Draw()
"""Its numbers of members and sets: they decide nothing where an input shape is given, and stay out of replay ids."""


def misfit(normalizer: Normalizer, domain: Domain, shape: Shape) -> str:
    """Why an implementation cannot be asked an input of this shape; empty if it can."""
    if len(shape) not in domain.ranks:
        some = " or ".join(map(str, sorted(domain.ranks)))
        return f"an input of {len(shape)} axes; it takes {some} axes"
    layout, sizes = normalizer.sets.layout, domain.sizes
    if layout == "channels":
        channels, groups = shape[1], 1 if sizes is None else sizes.groups
        if sizes is not None and sizes.units is not None and channels != sizes.units:
            return f"{channels} channels in axis 1; the layer has {sizes.units}"
        if channels % groups:
            return f"{channels} channels in axis 1, which {groups} groups do not divide"
    if layout == "trailing" and sizes is not None and shape[len(shape) - len(sizes.shape) :] != sizes.shape:
        return f"the layer was made for inputs that end in {shape_words(sizes.shape)}"
    if math.prod(cut(normalizer, domain, shape, MEMBERS)) > LEAST * MEMBERS:
        return f"a set has more than {MEMBERS:,} members, which takes too long in each check"
    return ""


def cut(normalizer: Normalizer, domain: Domain, shape: Shape, entries: int) -> Shape:
    """The shape with smaller axes where it has more entries; what is normalized together stays, as far as it can.

    Trailing axes that are normalized stay, and so do the vectors of a weight. Of (cases, channels, *space) the cases
    are cut first, and the positions only where two cases have too many entries.
    """
    found = list(shape)
    for axis, least in _free_axes(normalizer, domain, shape):
        rest = math.prod(found) // found[axis]
        found[axis] = max(min(found[axis], least), min(found[axis], entries // rest))
    return tuple(found)


def _free_axes(normalizer: Normalizer, domain: Domain, shape: Shape) -> Iterator[tuple[int, int]]:
    """Axes that may be cut, in the order in which they are cut, with the least size that each keeps."""
    rank = len(shape)
    if normalizer.sets.layout == "trailing":
        yield from ((axis, LEAST) for axis in range(rank - _normalized(domain)))
    elif normalizer.sets.layout == "rows":
        yield from ((dim % rank, LEAST) for dim in domain.dims[:1] if dim is not None)
    else:
        yield 0, LEAST
        yield from ((axis, 7) for axis in range(2, rank))


def _normalized(domain: Domain) -> int:
    return domain.normalized[0] if domain.sizes is None else max(1, len(domain.sizes.shape))


def with_input_shapes(
    normalizer: Normalizer, domain: Domain, given: Sequence[Shape], placed: Callable[[Shape], Shape]
) -> Domain | str:
    """The domain with the shapes that its checks ask too, or why it cannot take one.

    placed: a shape as the implementation takes it, with its axes in the order in which a case has them.
    """
    notes: list[str] = []
    for one in given:
        shape = placed(one)
        if why := misfit(normalizer, domain, shape):
            return f"{KEY}={shape_words(one)}: {why}: correct the shape, or leave it out"
        most, few = (cut(normalizer, domain, shape, entries) for entries in (MANY_ENTRIES, ENTRIES))
        if few != shape:
            also = "" if most == few else f", and as {shape_words(most)} where accuracy over widths is checked"
            notes.append(f"{shape_words(shape)} is asked as {shape_words(few)}{also}")
    said = {KEY: f"{'; '.join(notes)}: larger inputs take too long"} if notes else {}
    return replace(domain, input_shapes=tuple(map(placed, given)), notes={**domain.notes, **said})


def draws(normalizer: Normalizer, domain: Domain, some: Sequence[Draw], *, wide: bool) -> Iterator[Draw]:
    """Each input shape with some draws, one for each format: with all of them if wide, else with one in turn.

    wide: whether the check tries threshold widths, and so takes larger inputs too.
    """
    for i, shape in enumerate(domain.input_shapes):
        asked = cut(normalizer, domain, shape, MANY_ENTRIES if wide else ENTRIES)
        for draw in some if wide else (some[i % len(some)],):
            yield _of_shape(replace(draw, seed=i + 1), asked)


def _of_shape(draw: Draw, shape: Shape) -> Draw:
    axes = draw.normalized if draw.fixed is None or not draw.fixed.shape else len(draw.fixed.shape)
    return replace(draw, n=PLAIN.n, sets=PLAIN.sets, rank=len(shape), normalized=axes, input_shape=shape)
