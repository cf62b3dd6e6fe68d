"""Faults of a quantized output. Faults only where the contract declares one; each row has a scale of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import divides_activations
from normcheck.normalizers.forms import ways
from normcheck.normalizers.quantization import QUANTIZED, SCALES, Quantized, row_scales
from normcheck.normalizers.reference.oracle import Truth, evaluate
from normcheck.normalizers.subject import Answer

Scale = Callable[[Quantized, Truth], Array]
"""The scales that faulty code uses."""


def _own(of: Quantized, truth: Truth) -> Array:
    return row_scales(of, truth.y)


def _stored(
    integer: Callable[[Quantized, Array], Array], scale: Scale = _own, told: Scale | None = None
) -> Callable[[Answer, FaultQuestion], Answer]:
    """Another quantizer, of the format that is declared; without one nothing is wrong.

    integer: q from y / scale. told: the scales that are returned, if they are others.
    """

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        form = next((one for one in question.contract.form.split("+") if one in QUANTIZED), "")
        if not form or (case.use not in (PLAIN, SCALES[form]) and case.use in ways(question.contract.form)):
            return answer
        of = QUANTIZED[form]
        with np.errstate(all="ignore"):
            truth = evaluate(question.normalizer, case.but(use=PLAIN, dy=None), question.contract)
            returned = (told or scale)(of, truth)
            if case.use == SCALES[form]:
                return replace(answer, y=returned)
            return replace(answer, y=integer(of, truth.y / scale(of, truth)) * returned)

    return after


def _nearest(of: Quantized, q: Array) -> Array:
    step = 2.0 * of.half_step(q)
    return np.asarray(np.clip(np.rint(q / step) * step, of.least, of.largest))


def _wrapped(of: Quantized, q: Array) -> Array:
    """As the lowest eight bits of the rounded number."""
    return np.asarray((np.rint(q) - of.least) % 256.0 + of.least)


def _overflown(of: Quantized, q: Array) -> Array:
    """NaN where a number is beyond the range, as the format without infinities has it."""
    end = of.largest + of.half_step(np.asarray(of.largest))
    return np.where(np.abs(q) > end, np.nan, _nearest(of, q))


def _of_least(of: Quantized, truth: Truth) -> Array:
    """The largest value falls on minus the least number, which is one step beyond the range."""
    return row_scales(of, truth.y) * (of.largest / -of.least)


def _zero(of: Quantized, truth: Truth) -> Array:
    """Zero for a row of zeros."""
    return np.where(np.abs(truth.y).max(axis=-1, keepdims=True, initial=0.0) == 0.0, 0.0, row_scales(of, truth.y))


def _unweighted(of: Quantized, truth: Truth) -> Array:
    return row_scales(of, truth.xh)


def _inverse(of: Quantized, truth: Truth) -> Array:
    return np.asarray(1.0 / row_scales(of, truth.y))


def _of_half(of: Quantized, truth: Truth) -> Array:
    return row_scales(of, truth.y) * 0.5


def _of_one(of: Quantized, truth: Truth) -> Array:
    """As if the largest number of the format were 1."""
    return row_scales(of, truth.y) * of.largest


FAULTS = (
    Fault(
        name="quantized-by-truncation",
        story="The quotient of output and scale is truncated to an integer, as by a cast, where the nearest one is "
        "meant: errors are up to a whole step and toward zero.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="int8"),
        after=_stored(lambda of, q: np.trunc(q)),
    ),
    Fault(
        name="quantized-wraps",
        story="What rounds to 128 is stored as -128: the cast keeps the lowest eight bits, where the number should "
        "stop at 127. Hides where the scale leaves room.",
        source="uxlfoundation/oneDNN#5879",
        concerns=divides_activations,
        under=Contract(form="int8"),
        after=_stored(_wrapped, _of_least),
    ),
    Fault(
        name="scale-without-weight",
        story="The scale is that of the normalized input, before the weight and bias: what they enlarge is clipped. "
        "Hides where the weight is 1.",
        source="constructed",
        concerns=lambda n: divides_activations(n) and n.weight,
        under=Contract(form="int8"),
        after=_stored(_nearest, _unweighted),
    ),
    Fault(
        name="scale-inverted",
        story="Returns the factor by which the output was multiplied, where its inverse, the scale of a step, is "
        "promised.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="int8"),
        after=_stored(_nearest, told=_inverse),
    ),
    Fault(
        name="scale-too-small",
        story="The scale is half of what the largest value of a row needs, as that of an unsigned format is: values "
        "beyond half of the largest are clipped.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="int8"),
        after=_stored(_nearest, _of_half),
    ),
    Fault(
        name="scale-too-large",
        story="The largest value of a row is the scale, without a division by the largest number of the format: of a "
        "row are left -1, 0 and 1.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="int8"),
        after=_stored(_nearest, _of_one),
    ),
    Fault(
        name="quantized-beyond-range",
        story="What exceeds the largest number of a format without infinities is not clipped and becomes NaN.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="e4m3"),
        after=_stored(_overflown, _of_half),
    ),
    Fault(
        name="zeros-divided-by-zero",
        story="The scale of a row of zeros is zero, so that its entries are 0 / 0. Hides where no row is zero, as that "
        "of padding is.",
        source="huggingface/kernels-community#681",
        concerns=divides_activations,
        under=Contract(form="e5m2"),
        after=_stored(_nearest, _zero),
    ),
)
