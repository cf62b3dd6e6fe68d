"""The questions of speed: shapes, formats, passes, and whether the caches are warm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from normcheck.bench.traffic import BOTH, FORWARD, PASSES, itemsize
from normcheck.core.floats import FORMATS

USUAL = ((1, 768), (7, 1024), (512, 768), (512, 4096))
"""Sets of entries that share a statistic, and entries of each: one token, a few, a batch, a wide batch."""

SIDES = (16, 64, 256, 1024, 4096, 16384, 65536)
WIDTHS = (768, 1024, 2048, 4096, 5120, 8192, 12288)
"""Of the hidden states of models, from BERT and GPT-2 to GPT-3."""
ROWS = (1, 7, 512, 4096)

LARGEST = 4 * 4096 * 12288
"""Bytes of one input; beside several of them, reference, bounds and arms hold some eighty times as many: 16 GB."""


@dataclass(frozen=True, slots=True)
class SpeedQuestion:
    """A shape, a pass, and how it is met. sets: how many share nothing; n: entries of each.

    cold: nothing of it is in a cache when the call begins; else it was written just before.
    """

    sets: int
    n: int
    part: str
    format: str = "float32"
    cold: bool = False

    def __str__(self) -> str:
        return f"{self.sets}x{self.n}-{self.format}-{self.part}" + ("-cold" if self.cold else "")


def _quick() -> Iterator[SpeedQuestion]:
    for shape in ((7, 1024), (512, 768)):
        yield from (SpeedQuestion(*shape, part) for part in (FORWARD, BOTH))


def _usual() -> Iterator[SpeedQuestion]:
    for shape in USUAL:
        yield from (SpeedQuestion(*shape, part) for part in PASSES)
    yield from (SpeedQuestion(512, 768, part, "bfloat16") for part in (FORWARD, BOTH))
    yield SpeedQuestion(512, 768, FORWARD, cold=True)


def _whole() -> Iterator[SpeedQuestion]:
    shapes = {(rows, n) for rows in SIDES for n in SIDES} | {(rows, n) for rows in ROWS for n in WIDTHS}
    for shape in sorted(shapes):
        for format in (name for name in FORMATS if shape[0] * shape[1] * itemsize(FORMATS[name]) <= LARGEST):
            for part in PASSES:
                yield SpeedQuestion(*shape, part, format)
            yield SpeedQuestion(*shape, FORWARD, format, cold=True)


GRIDS = {"quick": tuple(_quick()), "default": tuple(_usual()), "deep": tuple(_whole())}
"""By effort. The deep one is to be chosen from by -k."""
