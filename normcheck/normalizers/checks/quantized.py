"""The laws of a quantized output, in place of those of an output in its own format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison
from normcheck.normalizers.bounds import quantized as bounds
from normcheck.normalizers.bounds.contracted import demanded, forward_bound
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import resolved
from normcheck.normalizers.quantization import GIVEN_SCALE, SCALES, Quantized, needed, quantized
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.subject import Subject

ASKED = ("value", "evaluation", "repeats")
"""The checks of code with a quantized output."""

WHY = "its output is quantized: it is compared within half a step, by the check value"
"""Why no other check is asked."""

LAW = "q times its scale is y, rounded to the format of q and clipped to its range"
COVERS = "a scale covers the values that share it, and is not so large that they are lost"
ZEROS = "zeros have a finite scale, and are zero"


def in_form(check: Check) -> Check:
    """The check, which is not asked of code with a quantized output unless it can be."""
    if check.name in ASKED:
        return check
    return replace(check, lacks=lambda subject: (WHY if _of(subject) else "") or check.lacks(subject))


def _of(subject: object) -> Quantized | None:
    return quantized(subject.contract.form) if isinstance(subject, Subject) else None


def compared(subject: Subject, truth: Truth, of: Quantized, y: Array) -> Iterator[Comparison]:
    """The output against the reference and against its own scales; y: what a plain call returned."""
    case = truth.case
    scales = _scales(subject, case, of)
    mask, bound = resolved(truth, demanded(subject, case)), forward_bound(subject, truth)
    with np.errstate(all="ignore"):
        clipped = np.clip(truth.y, of.least * scales, of.largest * scales)
        expected = np.where(np.isfinite(scales), clipped, truth.y)
        allowed = bounds.output(of, truth.y, bound, y / scales, np.abs(scales))
        allowed = np.where(np.isfinite(allowed), allowed, 2.0 * bound)
    yield differ(LAW, y, expected, allowed, mask)
    constant = False
    if case.training and case.eps > 0.0:
        zeros = case.but(x=np.zeros(case.x.shape), bias=None if case.bias is None else np.zeros(case.bias.shape))
        of_zeros = _scales(subject, zeros, of)
        found = np.where(np.isfinite(of_zeros), subject.call(zeros.but(dy=None), False).y, np.nan)
        yield differ(ZEROS, found, np.zeros(case.x.shape), NOTHING)
        constant = bool(scales.size and np.all(of_zeros == scales.flat[0]) and np.all(scales == scales.flat[0]))
    taken = constant and scales.flat[0] == GIVEN_SCALE  # it is no choice of the code
    if mask.all() and not taken:
        yield _covers(of, truth.y, scales, bound, constant=constant)


def _covers(of: Quantized, y: Array, scales: Array, bound: Array, *, constant: bool) -> Comparison:
    least, most, known = bounds.scales_needed(of, needed(of, y, scales), bound, constant=constant)
    return differ(COVERS, scales, 0.5 * (least + most), 0.5 * (most - least), known)


def _scales(subject: Subject, case: Case, of: Quantized) -> Array:
    """The scale of each entry."""
    return subject.call(case.but(use=SCALES[of.name], dy=None), False).y
