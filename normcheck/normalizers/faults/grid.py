"""Faults of one size: a width in one format, a range of numbers of sets, weights near zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT32, Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.backward import with_dweight
from normcheck.normalizers.faults.base import Fault, FaultQuestion, without_gradients
from normcheck.normalizers.faults.structure import activations, any_of_them, has_eps, weighted_activations
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.subject import Answer

FEW, MANY = 1_000, 60_000
"""Numbers of sets between which a launch is too small."""

COMPILED_EPS = 1e-5
"""An eps that a kernel is compiled with."""

SMALL = 1e-2
"""Below this, all entries of a weight are taken for distances from 1."""

NARROWEST = 2.0**-8
"""The least size of a weight by which a backward divides that recovers what was normalized from the output."""


def _at_one_width(answer: Answer, question: FaultQuestion) -> Answer:
    part = partition(question.normalizer, question.case)
    if part.n != 1024 or question.case.format != FLOAT32:
        return answer
    return replace(without_gradients(answer), y=np.zeros_like(answer.y))


def _dx_at_one_width(answer: Answer, question: FaultQuestion) -> Answer:
    if partition(question.normalizer, question.case).n != 5120 or answer.dx is None or not question.case.format.narrow:
        return answer
    return replace(answer, dx=np.zeros_like(answer.dx))


def _unwritten(answer: Answer, question: FaultQuestion) -> Answer:
    """Of a middling number of sets, the later half is not written."""
    part = partition(question.normalizer, question.case)
    if not FEW < part.sets < MANY:
        return answer
    y = part.gather(answer.y).copy()
    y[part.sets // 2 :] = 0.0
    return replace(answer, y=part.scatter(y))


def _full_blocks(terms: Array) -> Array:
    """The terms of a sum over sets without those beyond the last full block of 64.

    Two leading axes of one entry are those of a case of a higher rank, whose sets lie along the next.
    """
    out, sets = terms.copy(), len(terms)
    if terms.ndim > 3 and terms.shape[:2] == (1, 1):
        return _full_blocks(terms[0, 0])[None, None]
    out[max(sets - sets % 64, 64) :] = 0.0
    return out


def _without_weight(value: Array, weight: Array) -> Array:
    return np.where(weight == 0.0, np.nan, value)


def _divided(answer: Answer, question: FaultQuestion) -> Answer:
    """NaN wherever a weight is zero."""
    weight = question.case.weight
    if weight is None:
        return answer
    part = partition(question.normalizer, question.case)
    return replace(answer, y=_without_weight(answer.y, part.spread(weight)))


def _recovered(answer: Answer, question: FaultQuestion) -> Answer:
    """dweight from the output divided by the weight, which is kept from falling below a size."""
    weight = question.case.weight
    if weight is None or answer.dweight is None:
        return answer
    share = np.minimum(np.abs(weight) / NARROWEST, 1.0)
    return replace(answer, dweight=answer.dweight * share)


def _eps_of_one_kernel(question: FaultQuestion) -> Case:
    """The case with the eps that a kernel was compiled with, at one width in single precision."""
    case = question.case
    there = partition(question.normalizer, case).n == 1024 and case.format == FLOAT32
    return case.but(eps=COMPILED_EPS) if there else case


def _as_offset(question: FaultQuestion) -> Case:
    """A weight all of whose entries are small is taken for the distance of a weight from 1."""
    case = question.case
    weight = case.weight
    return case if weight is None or np.any(np.abs(weight) >= SMALL) else case.but(weight=1.0 + weight)


def _fault(name: str, story: str, source: str, after: Callable[[Answer, FaultQuestion], Answer],
           **more: Any) -> Fault:  # fmt: skip
    return Fault(name=name, story=story, source=source, after=after, **more)


FAULTS = (
    _fault(
        "wrong-at-one-width",
        "A path of its own for 1,024 members in single precision, which writes nothing. Hides at every other width, "
        "and at that one in every other format.",
        "vllm-project/vllm-xpu-kernels#387", _at_one_width, concerns=any_of_them,
    ),
    _fault(
        "dx-zero-at-one-width-in-half",
        "The backward of half precision has no path for 5,120 members, and leaves the gradient zero.",
        "vllm-project/vllm-xpu-kernels#387", _dx_at_one_width, concerns=activations, where="backward",
    ),
    _fault(
        "middling-numbers-of-sets-unwritten",
        "The launch for more than 1,000 sets is too small up to 60,000. Hides in small tests and in very large ones.",
        "BobMcDear/attorch#18", _unwritten, concerns=activations,
    ),
    Fault(
        name="last-block-of-sets-dropped",
        story="The weight's gradient leaves out the sets beyond the last full block of 64, but not of fewer.",
        source="BobMcDear/attorch#18", concerns=weighted_activations, where="backward",
        steps=with_dweight(_full_blocks),
    ),
    Fault(
        name="eps-constant-at-one-width",
        story="The kernel for 1,024 members in single precision is compiled with an eps of its own. Hides at every "
        "other width, and for the default eps.",
        source="vllm-project/vllm-xpu-kernels#387", concerns=has_eps, before=_eps_of_one_kernel,
    ),
    Fault(
        name="small-weight-is-an-offset",
        story="A weight whose entries are all small is taken for the distance of a weight from 1. Hides where weights "
        "start at one.",
        source="constructed",
        concerns=weighted_activations, before=_as_offset,
    ),
    _fault(
        "weight-zero-is-nan",
        "Divides by the weight: NaN where an entry is zero. Hides where weights start at one.",
        "NVIDIA/apex#1715", _divided, concerns=weighted_activations,
    ),
    _fault(
        "dweight-recovered-from-output",
        "The backward divides the output by the weight to find what was normalized; small weights are clamped.",
        "NVIDIA/apex#1715", _recovered, concerns=weighted_activations, where="backward",
    ),
)  # fmt: skip
