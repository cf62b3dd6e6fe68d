"""Ranks of input that suit a normalizer, and draws adapted to an implementation whose sizes are fixed."""

from __future__ import annotations

import math
from dataclasses import replace

from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, Sizes


def ranks(normalizer: Normalizer) -> tuple[int, ...]:
    """Ranks of input to try; the first is the one on which Table 1 is measured."""
    if normalizer.sets.layout == "channels":
        least = 2 if normalizer.sets.members & {"case", "unit"} else 3
        rest = tuple(r for r in (2, 3, 4, 5) if r >= least)
        return (4, *(r for r in rest if r != 4)) if normalizer.spatial else rest
    return (2, 3, 4) if normalizer.sets.layout == "trailing" else (2, 3, 4, 1, 5)


def fit(normalizer: Normalizer, draw: Draw, sizes: Sizes | None) -> Draw:
    """The draw with the fixed sizes of an implementation; unchanged if sizes is None."""
    if sizes is None:
        return draw
    draw = replace(draw, fixed=sizes)
    if draw.input_shape:  # it is that of a contract, which was compared with these sizes
        return replace(draw, normalized=max(draw.normalized, len(sizes.shape)))
    if normalizer.sets.layout == "trailing":
        extra = len(sizes.shape) - draw.normalized
        return replace(draw, n=math.prod(sizes.shape), normalized=len(sizes.shape), rank=draw.rank + extra)
    if "case" in normalizer.sets.members and sizes.units is not None:
        return replace(draw, sets=sizes.units)
    return draw
