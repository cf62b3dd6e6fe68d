"""Faults of code that normalizes each part of a batch or of an axis by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion, subject
from normcheck.normalizers.faults.structure import batched, trailing
from normcheck.normalizers.normalizer import Partition
from normcheck.normalizers.subject import Answer


def in_parts(count: int, *, affine: bool = True) -> Callable[[Answer, FaultQuestion], Answer]:
    """In training each of `count` equal parts of the batch is a batch; running statistics are those of the first.

    affine: whether the parts behind the first are multiplied by the weight, too. A batch that cannot be divided is one.
    """

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        cases = len(case.x)
        if not case.training or cases % count or not case.x.size or case.use != PLAIN:
            return answer
        parts = [_part(question, slice(i, i + cases // count), bare=not affine and i > 0)
                 for i in range(0, cases, cases // count)]  # fmt: skip
        first = parts[0]
        given = parts if affine else parts[:1]
        return replace(
            answer,
            y=np.concatenate([one.y for one in parts]),
            dx=_joined(np.concatenate, [one.dx for one in parts]),
            dweight=_joined(_total, [one.dweight for one in given]),
            dbias=_joined(_total, [one.dbias for one in given]),
            running_mean=first.running_mean,
            running_var=first.running_var,
        )

    return after


def _part(question: FaultQuestion, some: slice, *, bare: bool) -> Answer:
    """The right answer for some of the cases. bare: without weight and bias."""
    case = question.case
    part = case.but(x=case.x[some], dy=None if case.dy is None else case.dy[some])
    part = part.but(weight=None, bias=None) if bare else part
    return subject(question.normalizer, None, question.contract).call(part, case.dy is not None)


def _joined(join: Callable[[list[Array]], Array], arrays: list[Array | None]) -> Array | None:
    """The arrays of all parts in one; None where a part has none."""
    there = [one for one in arrays if one is not None]
    return join(there) if len(there) == len(arrays) else None


def _total(arrays: list[Array]) -> Array:
    out: Array = np.sum(arrays, axis=0)
    return out


def groups_of(size: Callable[[int], int]) -> Callable[[Partition, Case], Partition]:
    """Statistics over groups of neighbors within the last axis. size: of a group, from the length of that axis."""

    def repartition(part: Partition, case: Case) -> Partition:
        last = part.shape[-1]
        group = size(last)
        if group < 1 or last % group or group >= last:
            return part
        return replace(part, seen=(math.prod(part.shape) // group, 1, group, 1))

    return repartition


FAULTS = (
    Fault(
        name="split-batch",
        story="Each half of the batch is normalized by itself, and the running statistics are those of the first. "
        "Hides in evaluation.",
        source="google/flax#319",
        concerns=batched,
        after=in_parts(2),
    ),
    Fault(
        name="groups-within-the-last-axis",
        story="Groups of four neighbors have statistics of their own. Hides where the width is no multiple of four.",
        source="state-spaces/mamba#908",
        concerns=trailing,
        repartition=groups_of(lambda width: 4),
    ),
)
