"""Operations on one layer over several calls, by name: calls on batches, and what is done between two calls.

A program is a short tuple of these names, applied to one layer in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS
from normcheck.normalizers.case import Case


@dataclass(frozen=True, slots=True)
class ProgramBatch:
    """One call of the layer on new random numbers."""

    cases: int
    training: bool = True
    backward: bool = False
    single: bool = False  # one position, so that one case has a single value for each channel


BATCHES = {
    "train on 4 cases": ProgramBatch(4),
    "train on 1 case": ProgramBatch(1),
    "train on 2 cases": ProgramBatch(2),
    "train on 3 cases": ProgramBatch(3),
    "train with a backward": ProgramBatch(3, backward=True),
    "evaluate 3 cases": ProgramBatch(3, training=False),
    "evaluate 1 case": ProgramBatch(1, training=False),
    "train on no cases": ProgramBatch(0),
    "train on one value": ProgramBatch(1, single=True),
}

MOMENTA: dict[str, float | None] = {
    "momentum 0": 0.0,
    "momentum 0.1": 0.1,
    "momentum 1": 1.0,
    "momentum None": None,
}
"""The momentum that an operation sets. None: the cumulative average, in which each of k batches has weight 1 / k."""

FREEZE = "freeze the parameters"
RESET = "reset the statistics"
RENEW = "construct anew"
RELOAD = "save and load into a new layer"
COPY = "go on with a deep copy"
WIDEN, NARROW = f"move to {FLOAT64.name}", f"move to {FLOAT32.name}"

MOVES = {WIDEN: FLOAT64.name, NARROW: FLOAT32.name}

RARE = ("train on no cases", "train on one value")
"""Batches on which a layer may raise; if it does not, its statistics must stay finite."""

EVALUATIONS = tuple(name for name, batch in BATCHES.items() if not batch.training)

ORDINARY = (
    *(name for name in BATCHES if name not in RARE), *MOMENTA, FREEZE, RESET, RENEW,
)  # fmt: skip
"""Operations that any training run may contain."""

OF_FUNCTIONS = (*BATCHES, *(name for name, value in MOMENTA.items() if value is not None))
"""Operations for a function: it keeps no state, and gets the statistics that its last call returned as arguments."""

ALL = (*BATCHES, *MOMENTA, FREEZE, RESET, RENEW, RELOAD, COPY, WIDEN, NARROW)


def offered(operations: Iterable[str], formats: Iterable[str], *, evaluation: bool) -> tuple[str, ...]:
    """The operations that suit a layer with these formats, with or without an evaluation mode.

    >>> offered((WIDEN, "evaluate 1 case", RESET), ("float32",), evaluation=False)
    ('reset the statistics',)
    """
    both = set(MOVES.values()) <= set(formats)
    return tuple(name for name in operations if (both or name not in MOVES) and (evaluation or name not in EVALUATIONS))


def batch(case: Case, name: str, step: int) -> Case:
    """The case of one call of a program: a batch of as many training cases as its name says.

    Channels and positions are those of the case; the numbers depend on its seed and on the step. There are at least two
    values for each channel, except in a batch of no cases or of one value.
    """
    kind = BATCHES[name]
    channels, space = case.x.shape[1], case.x.shape[2:]
    if kind.single:
        space = (1,) * len(space)
    cases = kind.cases
    if cases == 1 and kind.training and not kind.single and math.prod(space) < 2:
        cases = 2
    rng = np.random.default_rng((int(case.drawn["seed"]), 2, step))
    size = (cases, channels, *space)
    per_channel = (1, channels, *(1,) * len(space))
    spread = 2.0 ** rng.integers(-4, 4, per_channel).astype(np.float64)
    x = spread * (rng.standard_normal(size) + 2.0 * rng.standard_normal(per_channel))
    dy = case.format.round(rng.standard_normal(size)) if kind.backward else None
    return case.but(x=case.format.round(x), dy=dy, training=kind.training)


def moved(case: Case, name: str) -> Case:
    """The case in the format to which a layer is moved, its parameters rounded to it."""
    format = FORMATS[MOVES[name]]
    weight, bias = (None if p is None else format.round(p) for p in (case.weight, case.bias))
    return case.but(format=format, weight=weight, bias=bias)
