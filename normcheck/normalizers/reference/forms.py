"""What code of a form returns in its further ways to be called, from what the plain normalizer returns."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers import forms, rotary
from normcheck.normalizers.activations import ACTIVATED
from normcheck.normalizers.case import Case
from normcheck.normalizers.quantization import OF_SCALES, row_scales


def output(use: str, y: Array, case: Case) -> Array:
    """The output of a way to call, before it is rounded. y: that of the plain call, of the shape of x."""
    if use in forms.SUMS:
        return _new_residual(use, case)
    if use == forms.OF_BOTH:
        return np.asarray(y + case.x)
    if use == forms.BY_BRANCH_BIAS:
        return forms.first_case(y)
    return row_scales(OF_SCALES[use], y) if use in OF_SCALES else _followed(use, y, case)


def _followed(use: str, y: Array, case: Case) -> Array:
    """The output of the normalizer after what follows it."""
    if use == forms.BY_GATE:
        return np.asarray(y * forms.gates(case.x.shape).value)
    if use in rotary.ALL:
        return rotary.rotation(use, case.x.shape, case.format)(y)
    return ACTIVATED[use].value(y) if use in ACTIVATED else y


def _new_residual(use: str, case: Case) -> Array:
    """The sum in a way to call that returns it: with a branch bias, whose entries have no other residual."""
    if use == forms.OTHER:
        return np.asarray(case.x + forms.other_residual(case.x, case.format))
    first, rest = forms.first_case(case.x), 1.0 - forms.biased(case.x.shape)
    return np.asarray(first + rest * forms.other_residual(first, case.format))


def compared(use: str, resolved: Array) -> Array:
    """Which entries are compared in a way to call, from the entries of the plain call that are."""
    return forms.first_case(resolved) if use == forms.BY_BRANCH_BIAS else resolved


def pulled(use: str, y: Array, case: Case) -> Case:
    """The plain case to evaluate for the gradient in a way to call: with the cotangent of the plain output y.

    It is the case itself in all ways but those after an activation, where that cotangent is dy act'(y), those with a
    rotation, where it is dy rotated back, and the one by the branch bias, where all cases are the first.
    """
    if use in rotary.ALL and case.dy is not None:
        return case.but(dy=rotary.rotation(use, case.x.shape, case.format).back(case.dy))
    if use == forms.BY_BRANCH_BIAS:
        return case.but(x=forms.first_case(case.x))
    if use not in ACTIVATED or case.dy is None:
        return case
    return case.but(dy=case.dy * ACTIVATED[use].slope(y))


def input_gradient(use: str, y: Array, dx: Array, case: Case) -> Array:
    """The gradient of the input that varies in a way to call. y, dx: those of the plain call, of the shape of x.

    dx is that of the case as `pulled` makes it.
    """
    assert case.dy is not None
    if use == forms.OTHER:
        return case.dy
    if use == forms.OF_BOTH:
        return np.asarray(dx + case.dy)
    if use in (forms.BY_BRANCH_BIAS, forms.WITH_BRANCH_BIAS):
        return of_branch_bias(dx if use == forms.BY_BRANCH_BIAS else case.dy)
    if use == forms.BY_GATE:
        return np.asarray(case.dy * y * forms.gates(case.x.shape).slope)
    if use == forms.BY_GATE_FIRST:
        return np.asarray(dx * case.x / forms.open_gate(case.format.name))
    return np.zeros(dx.shape) if use == forms.BY_PADDING else dx


def of_branch_bias(gradients: Array) -> Array:
    """The gradient of the branch bias from those of the sum, which it is part of in every case: in the first case."""
    out = np.zeros(gradients.shape)
    first = (slice(0, 1),) * (gradients.ndim - 1)
    out[first] = (forms.biased(gradients.shape) * gradients).sum(axis=tuple(range(gradients.ndim - 1)), keepdims=True)
    return out
