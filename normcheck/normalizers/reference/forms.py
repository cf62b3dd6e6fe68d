"""What code of a form returns in its further ways to be called, from what the plain normalizer returns."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers import forms
from normcheck.normalizers.activations import ACTIVATED
from normcheck.normalizers.case import Case
from normcheck.normalizers.quantization import OF_SCALES, row_scales


def output(use: str, y: Array, case: Case) -> Array:
    """The output of a way to call, before it is rounded. y: that of the plain call, of the shape of x."""
    if use == forms.OTHER:
        return np.asarray(case.x + forms.other_residual(case.x, case.format))
    if use == forms.OF_BOTH:
        return np.asarray(y + case.x)
    if use == forms.BY_GATE:
        return np.asarray(y * forms.gates(case.x.shape).value)
    if use in OF_SCALES:
        return row_scales(OF_SCALES[use], y)
    return ACTIVATED[use].value(y) if use in ACTIVATED else y


def pulled(use: str, y: Array, case: Case) -> Case:
    """The plain case to evaluate for the gradient in a way to call: with the cotangent of the plain output y.

    It is the case itself in all ways but those after an activation, where that cotangent is dy act'(y).
    """
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
    if use == forms.BY_GATE:
        return np.asarray(case.dy * y * forms.gates(case.x.shape).slope)
    if use == forms.BY_GATE_FIRST:
        return np.asarray(dx * case.x / forms.open_gate(case.format.name))
    return np.zeros(dx.shape) if use == forms.BY_PADDING else dx
