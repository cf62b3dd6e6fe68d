"""What code of a form returns in its further ways to be called, from what the plain normalizer returns."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers import forms
from normcheck.normalizers.case import Case


def output(use: str, y: Array, case: Case) -> Array:
    """The output of a way to call, before it is rounded. y: that of the plain call, of the shape of x."""
    if use == forms.OTHER:
        return np.asarray(case.x + forms.other_residual(case.x, case.format))
    if use == forms.OF_BOTH:
        return np.asarray(y + case.x)
    if use == forms.BY_GATE:
        return np.asarray(y * forms.gates(case.x.shape).value)
    return y


def input_gradient(use: str, y: Array, dx: Array, case: Case) -> Array:
    """The gradient of the input that varies in a way to call. y, dx: those of the plain call, of the shape of x."""
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
