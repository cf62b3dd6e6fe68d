"""Bounds of what code of a form returns in its further ways to be called, from those of the plain normalizer."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers import forms, rotary
from normcheck.normalizers.activations import ACTIVATED
from normcheck.normalizers.bounds import activated, quantized
from normcheck.normalizers.case import Case
from normcheck.normalizers.quantization import OF_SCALES
from normcheck.normalizers.quantization import quantized as quantized_as
from normcheck.normalizers.reference import forms as reference
from normcheck.normalizers.reference.oracle import Truth

STEPS = 6.0
"""Roundings of a gate and its product, each at most u of the size of the result.

silu takes an exponential, a sum, a division and a product; a narrow format may round the normalized input and silu once
each before the product is rounded. The exponential is correct to 1 u or better where its argument is small (|g| <= 3).
"""

SUMMED = 4.0
"""Roundings of a sum, each at most u of the sum of sizes: the code rounds it, and may add its terms in two steps; in
float64 the expected sum is rounded too."""


TURNED = 4.0
"""Roundings of a rotated entry, each at most u of the sizes of its two terms: of the normalized input in a narrow
format, of the products and of their sum. Cosines and sines are given in the format, so both sides have the same."""


def output(use: str, y: Array, bound: Array, case: Case, form: str) -> Array:
    """Bound of the output of a way to call code of a form, named as in the contract.

    y, bound: the plain output and its bound, of the shape of x.
    """
    of = quantized_as(form)
    found = _rotated(use, y, bound, case) if use in rotary.ALL else _output(use, y, bound, case)
    if of is None or use in forms.SUMS or use in OF_SCALES:
        return found
    return np.asarray(found + quantized.coarse(of, reference.output(use, y, case)))


def _output(use: str, y: Array, bound: Array, case: Case) -> Array:
    if use in forms.SUMS:
        return case.format.half_ulp(reference.output(use, y, case))
    if use == forms.BY_BRANCH_BIAS:
        return forms.first_case(bound)
    if use == forms.OF_BOTH:
        return _summed(case, bound, np.abs(y) + np.abs(case.x))
    if use == forms.BY_GATE:
        gate = forms.gates(case.x.shape)
        return _scaled(case, bound, y, gate.value, np.abs(gate.value))
    if use in OF_SCALES:  # of rows, or of the whole output
        return np.full(y.shape, quantized.scale(OF_SCALES[use], y))
    return activated.output(ACTIVATED[use], y, bound, case) if use in ACTIVATED else bound


def input_gradient(use: str, truth: Truth, bounds: tuple[Array, Array], case: Case) -> Array:
    """Bound of the gradient in a way to call.

    truth: that of the plain case that `reference.forms.pulled` makes of `case`. bounds: those of its y and dx, both of
    the shape of x.
    """
    y, dx = truth.y, truth.dx
    assert case.dy is not None
    assert dx is not None
    if use in ACTIVATED or use in rotary.ALL:
        return _through_what_follows(use, truth, bounds, case)
    if use == forms.OF_BOTH:
        return _summed(case, bounds[1], np.abs(dx) + np.abs(case.dy))
    if use in (forms.BY_BRANCH_BIAS, forms.WITH_BRANCH_BIAS):
        return _of_all_cases(case, *((bounds[1], dx) if use == forms.BY_BRANCH_BIAS else (np.zeros(dx.shape), case.dy)))
    if use == forms.BY_GATE:
        slope = forms.gates(case.x.shape).slope
        size = 1.0 + np.abs(forms.in_turn(forms.GATES, case.x.shape))  # of the terms of the slope, which may cancel
        return np.asarray(np.abs(case.dy) * _scaled(case, bounds[0], y, slope, size))
    if use == forms.BY_GATE_FIRST:
        factor = case.x / forms.open_gate(case.format.name)
        return _scaled(case, bounds[1], dx, factor, np.abs(factor))
    return np.zeros(case.x.shape) if use in (forms.OTHER, forms.BY_PADDING) else bounds[1]


def _scaled(case: Case, bound: Array, plain: Array, factor: Array, size: Array) -> Array:
    """Bound of a product of `plain`, with its bound, and a factor whose terms have these sizes."""
    form = case.format
    return np.asarray(np.abs(factor) * bound + STEPS * form.u * np.abs(plain) * size + 4.0 * form.floor)


def _summed(case: Case, bound: Array, size: Array) -> Array:
    """Bound of a sum of which one term has a bound, and the sizes of all terms add up to `size`."""
    return np.asarray(bound + SUMMED * (case.format.u * size + case.format.floor))


def _of_all_cases(case: Case, bound: Array, terms: Array) -> Array:
    """Bound of the gradient of a branch bias, a sum over all cases in any order: at most count u times their sizes."""
    count = terms.size // max(terms.shape[-1], 1)
    added = reference.of_branch_bias(count * (case.format.u * np.abs(terms) + case.format.floor))
    return np.asarray(reference.of_branch_bias(bound) + added)


def _rotated(use: str, y: Array, bound: Array, case: Case) -> Array:
    """Bound of rotated y, from that of y: a rotation adds the errors of two entries, times cosine and sine."""
    turn = rotary.rotation(use, case.x.shape, case.format)
    return np.asarray(turn.sizes(bound) + TURNED * case.format.u * turn.sizes(y) + 4.0 * case.format.floor)


def _through_what_follows(use: str, truth: Truth, bounds: tuple[Array, Array], case: Case) -> Array:
    """Bound of dx through an activation, or where dy is rotated back first.

    That is the bound of dx, and what the backward of the normalizer makes of the roundings of its cotangent.
    """
    assert case.dy is not None
    if use in ACTIVATED:
        return activated.input_gradient(ACTIVATED[use], truth, bounds, case)
    off = TURNED * case.format.u * rotary.rotation(use, case.x.shape, case.format).sizes(case.dy)
    gain = 1.0 if truth.gain is None else np.abs(truth.gain)
    return np.asarray(bounds[1] + activated.backward(truth, gain * off) + 4.0 * case.format.floor)
