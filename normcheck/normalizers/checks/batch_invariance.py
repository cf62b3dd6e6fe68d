"""The bits of a case in batches of other sizes, which kernels for inference are asked to keep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from normcheck.core.check import Check
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FORMATS, Array
from normcheck.core.result import Comparison
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.sizes import USUAL
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

BATCH_INVARIANT = "batch-invariant"
"""The key of the contract, and of the note."""

ROWS = (2, 31, 255, 256, 1024, 4096)
"""Cases in a batch: kernels change their blocks, and with them the order of sums, at some of these."""

PROBES = 16
"""Cases that are called alone and in each batch: the first, the last, and between; one in three shows another order."""

KEPT = (FLOAT32, BFLOAT16)
"""Formats in which models are served."""


def not_for(kind: str) -> str:
    """The sentence by which the demand is refused for a kind that is not checked in batches of other sizes."""
    return f"batch-invariant=yes: the bits of a case in other batches are not checked for {kind}"


LAW = "a case has the same bits in every batch"


@dataclass(frozen=True, slots=True)
class Apart:
    """By how many units in the last place an array of a case is apart from that of the case alone, at most."""

    rows: int
    where: str  # the array and the format
    ulp: int
    error: float


def batch_invariance(subject: Subject, case: Case) -> Comparison:
    """Compare y and dx of a few cases, each alone, with those of the same cases in batches, at any place.

    Bits are demanded under batch-invariant=yes; else what differs is a note.
    """
    refused: dict[str, str] = {}
    found = [one for format in KEPT if format.name in subject.domain.formats
             for one in _apart(subject, case.but(format=format), refused)]  # fmt: skip
    apart = [one for one in found if one.ulp]
    note = f"bit for bit in batches of 1 to {max((one.rows for one in found), default=1):,} cases"
    if apart:
        first = min(one.rows for one in apart)
        most = {where: max(one.ulp for one in apart if one.where == where) for where in (one.where for one in apart)}
        words = ", ".join(f"{where} by {ulp} ulp at most" for where, ulp in most.items())
        note = f"not in batches of {first:,} cases or more: {words}"
    if apart and subject.contract.batch_invariant == "yes":
        error = max(one.error for one in apart)
        return Comparison(LAW, len(found), math.inf, error, 0.0, detail=note, refused=refused)
    return Comparison(LAW, len(found), 0.0, refused=refused, notes={BATCH_INVARIANT: note} if found else {})


def _apart(subject: Subject, case: Case, refused: dict[str, str]) -> Iterator[Apart]:
    """For each size of a batch, the largest distance of an array of a case from that of the same case alone."""
    rng = np.random.default_rng((int(case.drawn["seed"]), 12))
    shape, number, gradient = case.x.shape[1:], case.format.round, subject.domain.gradient
    held = {name: number(value) for name in ("weight", "bias") if (value := getattr(case, name)) is not None}
    x, dy = (number(rng.standard_normal((PROBES, *shape)) + 0.5) for _ in range(2))

    def answered(x: Array, dy: Array) -> Answer | None:
        here = case.but(x=x, dy=dy if gradient else None, **held)
        try:
            return None if USUAL.exceeded(subject, here, gradient=gradient) else subject.call(here, gradient)
        except CallError as error:
            refused[f"inputs {'x'.join(map(str, x.shape))}"] = error.reason
            return None

    alone = [answered(x[i : i + 1], dy[i : i + 1]) for i in range(PROBES)]
    for rows in ROWS:
        places = np.unique(np.linspace(0, rows - 1, PROBES).astype(int))
        many = [number(rng.standard_normal((rows, *shape))) for _ in range(2)]
        for full, probes in zip(many, (x, dy), strict=True):
            full[places] = probes[: len(places)]
        among = answered(*many)
        if among is None:
            continue
        step = FORMATS[among.format].steps_apart
        for own, place in zip(alone, places, strict=False):
            for name in () if own is None else ("y", "dx"):
                before, after = getattr(own, name), getattr(among, name)
                if before is not None and after is not None:
                    error = float(np.abs(after[place] - before[0]).max(initial=0.0))
                    ulp = int(step(after[place], before[0]).max(initial=0))
                    yield Apart(rows, f"{name} {case.format.name}", ulp, error)


def _lacks(subject: Subject) -> str:
    return "each shape would be compiled" if subject.domain.compiles_per_shape else ""


CHECKS = (
    Check("batch-invariance", LAW, "vllm-project/vllm#48391", batch_invariance,
          NormalizerSpace(small, formats=(FLOAT32,), widths=(64,), sets=(4,), affine=("both", "weight"), offsets=False,
                          once=True),
          concerns=lambda normalizer: normalizer.independent, lacks=_lacks, least="default", cost=math.inf),
)  # fmt: skip
