"""The questions of speed: shapes, formats, passes, and whether the caches are warm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from normcheck.bench.traffic import BOTH, FORWARD, PASSES, itemsize
from normcheck.core.floats import BFLOAT16, FLOAT32, FORMATS

DEFAULT_SHAPES = ((1, 768), (7, 1024), (512, 768), (512, 4096))
"""Sets of entries that share a statistic, and entries of each: one token, a few tokens, a batch, a wide batch."""

SQUARE_SIZES = (16, 64, 256, 1024, 4096, 16384, 65536)
"""Rows and widths of which the deep grid has all pairs: powers of four, from far below a cache to far beyond it."""
WIDTHS = (768, 1024, 2048, 4096, 5120, 8192, 12288)
"""Widths of the hidden states of models, from BERT and GPT-2 to GPT-3."""
ROWS = (1, 7, 512, 4096)
"""Rows at those widths: one token, a few tokens, a batch, a long context."""

LARGEST_INPUT = 4 * 4096 * 12288
"""Bytes of one input; reference, bounds and the storage of all arms take about eighty times as much together: 16 GB."""


@dataclass(frozen=True, slots=True)
class SpeedQuestion:
    """A shape, a pass and a state of the caches. sets: how many sets of entries share a statistic; n: entries of each.

    cold: none of the data is in a cache when the call begins; otherwise the inputs were written just before.
    """

    sets: int
    n: int
    part: str
    format: str = FLOAT32.name
    cold: bool = False

    def __str__(self) -> str:
        return f"{self.sets}x{self.n}-{self.format}-{self.part}" + ("-cold" if self.cold else "")


def _quick() -> Iterator[SpeedQuestion]:
    for shape in ((7, 1024), (512, 768)):
        yield from (SpeedQuestion(*shape, part) for part in (FORWARD, BOTH))


def _default() -> Iterator[SpeedQuestion]:
    for shape in DEFAULT_SHAPES:
        yield from (SpeedQuestion(*shape, part) for part in PASSES)
    yield from (SpeedQuestion(512, 768, part, BFLOAT16.name) for part in (FORWARD, BOTH))
    yield SpeedQuestion(512, 768, FORWARD, cold=True)


def _deep() -> Iterator[SpeedQuestion]:
    shapes = {(rows, n) for rows in SQUARE_SIZES for n in SQUARE_SIZES} | {(rows, n) for rows in ROWS for n in WIDTHS}
    for shape in sorted(shapes):
        for format in (name for name in FORMATS if shape[0] * shape[1] * itemsize(FORMATS[name]) <= LARGEST_INPUT):
            for part in PASSES:
                yield SpeedQuestion(*shape, part, format)
            yield SpeedQuestion(*shape, FORWARD, format, cold=True)


GRIDS = {"smoke": tuple(_quick()), "quick": tuple(_quick()), "default": tuple(_default()), "deep": tuple(_deep())}
"""The questions of each effort. The deep grid has thousands: a run selects from it with -k."""
