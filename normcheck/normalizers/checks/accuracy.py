"""Accuracy: the output against the float64 reference, over conditioning, width, scale and format."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check, nothing
from normcheck.core.compare import bound_ratios, differ
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers import quantization
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.bounds.bounds import ErrorBound
from normcheck.normalizers.bounds.contracted import demanded
from normcheck.normalizers.bounds.exactness import HALF_A_STEP, rounded_once
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import forms, quantized
from normcheck.normalizers.checks.curves import curve, one_pass
from normcheck.normalizers.checks.declared import declared
from normcheck.normalizers.checks.within_bounds import answer_of, resolved, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import Draw, small, state, values
from normcheck.normalizers.sampling.space import ALL_WIDTHS, NormalizerSpace
from normcheck.normalizers.subject import Subject

LAW = "|y - exact y| <= bound(width, conditioning, format)"
UNROUNDED = "|y - exact y| <= bound of statistics in a wide format"


def compare(subject: Subject, truth: Truth, y: Array, pass_name: str) -> Comparison:
    """Compare the output with the reference; metrics: the bound ratio in every class up to the demanded one."""
    case = truth.case
    wanted, rounding = demanded(subject, case), rounded_once(case, truth.y)
    metrics: dict[str, float] = {}
    found = None
    for accuracy in bounds.classes(case.format):
        bound: ErrorBound = bounds.forward(truth, accuracy)
        limit = subject.contract.bound_multiplier * bound.total
        one = differ(LAW, y, truth.y, limit, resolved(truth, accuracy), rounding=rounding)
        if one.compared:
            metrics[f"accuracy/{pass_name} {case.format.name}/{accuracy.name}"] = one.bound_ratio
        if accuracy is bounds.SOUND and case.training:
            metrics |= curve(truth, pass_name, bound_ratios(y, truth.y, limit, rounding)[1]) | one_pass(truth, limit)
        if accuracy is wanted:
            term = bound.largest(one.where) if one.compared else ""
            detail = f"the bound is mostly {term}" if not one.holds else ""
            found = Comparison(
                LAW, one.compared, one.bound_ratio, one.observed, one.allowed, one.where, detail, metrics
            )
        if found is not None and one.holds:
            break
    assert found is not None
    return found


def value(subject: Subject, case: Case) -> Comparison:
    """The output against the reference, and with the bits that the contract declares."""
    return _compared(subject, case, "forward")


def _compared(subject: Subject, case: Case, pass_name: str) -> Comparison:
    truth, answer = truth_of(subject, case), answer_of(subject, case)
    further = tuple(forms.outputs(subject, truth)) if case.training else ()
    of = quantization.quantized(subject.contract.form)
    if of is not None:
        return worst(*quantized.compared(subject, truth, of, answer.y), *further)
    found = compare(subject, truth, answer.y, pass_name)
    more = (*declared(subject, truth, answer), *further)
    return worst(found, *more) if more else found


def finite(subject: Subject, case: Case) -> Comparison:
    """Finite input gives finite output, however badly its sets are conditioned."""
    y, mask = answer_of(subject, case).y, None
    if subject.contract.accuracy_in(case.format.name) == bounds.HALF.name:  # sums in the format may leave its range
        truth = truth_of(subject, case)
        mask = truth.partition.per_set(bounds.in_range(truth))
    law = "finite input gives finite output"
    return differ(law, np.isfinite(y).astype(float), np.ones(y.shape), HALF_A_STEP, mask)


def output_format(subject: Subject, case: Case) -> Comparison:
    """The output has the input's format."""
    got = answer_of(subject, case).format
    law = "the output has the input's format"
    return Comparison(law, 1, 0.0 if got == case.format.name else float("inf"), detail=f"the output is {got}")


def evaluation(subject: Subject, case: Case) -> Comparison:
    """With running statistics the output is the affine map (x - running mean) / sqrt(running var + eps) w + b."""
    return _compared(subject, case, "evaluation")


def has_state(normalizer: Normalizer) -> bool:
    """Whether implementations keep running statistics."""
    return normalizer.state


ROUNDED_AWAY = 30.0
"""Mean over deviation at which a mean that is rounded to half precision is off by many times the sound bound."""

FINITE = "finite"
"""Name of the check that finite input gives finite output."""

WIDE_STATISTICS = "wide-statistics"
"""Name of the check of statistics that are kept in a wide format though torch's own function rounds them."""


def wide_statistics(subject: Subject, case: Case) -> Comparison:
    """The error of an output in half precision is that of statistics in single precision.

    Asked where torch's own function rounds them on the CPU if the parameters are narrow; it does not elsewhere.
    """
    truth = truth_of(subject, case)
    default = subject.contract.accuracy_in(case.format.name) == "default"
    accuracy = bounds.SOUND if default else demanded(subject, case)
    allowed = subject.contract.bound_multiplier * bounds.forward(truth, accuracy).total
    rounding = rounded_once(case, truth.y)
    return differ(UNROUNDED, answer_of(subject, case).y, truth.y, allowed, resolved(truth, accuracy), rounding=rounding)


def _rounded_by_torch(normalizer: Normalizer) -> bool:
    return normalizer.narrow_accuracy[0] == "half"


def needs_evaluation(subject: Subject) -> str:
    """Why a check of the evaluation mode cannot run; empty if it can."""
    domain = subject.domain
    why = domain.absent.get("evaluation with running statistics", "keeps no running statistics")
    return "" if domain.evaluation else f"no evaluation mode: {why}"


def _evaluated(normalizer: Normalizer, draw: Draw) -> Case:
    return state(normalizer, draw, training=False)


CHECKS = (
    Check(
        "value", LAW, "theory of rounding errors: Chan, Golub, LeVeque 1983",
        value, NormalizerSpace(values, edges=ALL_WIDTHS, scales=(0, -4, 6)),
    ),
    Check(
        FINITE, "finite input gives finite output", "pytorch/pytorch#51102",
        finite, NormalizerSpace(values, widths=(8, 16, 64), scales=(0, -6, 6)),
    ),
    Check(
        "output-format", "the output has the input's format", "huggingface/transformers#30236",
        output_format, NormalizerSpace(small, widths=(8,), offsets=False), lacks=nothing,
    ),
    Check(
        "evaluation", "y = (x - running mean) / sqrt(running var + eps) weight + bias",
        "Ioffe, Szegedy 2015, Algorithm 2",
        evaluation, NormalizerSpace(_evaluated, offsets=False), concerns=has_state, lacks=needs_evaluation,
    ),
    Check(
        WIDE_STATISTICS, UNROUNDED, "pytorch/pytorch#61015",
        wide_statistics,
        NormalizerSpace(values, formats=(BFLOAT16, FLOAT16, FLOAT32), widths=(32, 8, 64),
                        worst_offset=((BFLOAT16, ROUNDED_AWAY), (FLOAT16, ROUNDED_AWAY))),
        concerns=_rounded_by_torch,
    ),
)  # fmt: skip
