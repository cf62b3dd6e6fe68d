"""Bounds where a framework may round whatever it reads to a narrow format, and compute in it."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import Truth


def output(narrow: Truth) -> Array:
    """Bound of y, computed in the case's format with statistics kept in it, from what was rounded to it as it was read.

    narrow: the exact answer to the inputs before rounding, with the narrow format as that of its case.
    """
    return np.asarray(bounds.forward(narrow, bounds.HALF).total + _read(narrow))


def gradient(narrow: Truth) -> Array:
    """The same of dx."""
    return np.asarray(bounds.backward(narrow, bounds.HALF).total + _gradient_read(narrow))


def _read(truth: Truth) -> Array:
    """What y moves by where input, weight and bias are rounded to the case's format before anything is computed.

    To first order |dy/dx| u |x| summed over the set, as `bounds.scale_of` bounds it, and u of the terms of the affine
    map; 5 % more for terms of second order.
    """
    u, part = truth.case.format.u, truth.partition
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    shift = np.zeros(()) if truth.bias is None else np.abs(truth.bias)
    moved = part.scatter(bounds.scale_of(truth, u * truth.saved.x))
    out: Array = 1.05 * (gain * moved + u * (gain * np.abs(truth.xh) + shift))
    return out


def _gradient_read(truth: Truth) -> Array:
    """What dx moves by where input, weight and cotangent are rounded to the case's format before anything is computed.

    dx is linear in weight and cotangent: u T for each. The input moves 1 / s and xh by u kappa of their size, and there
    is no term in T with more than these three factors: 3 u kappa T.
    """
    loss = 2.0 + 3.0 * bounds.conditioning(truth, bounds.SOUND)
    out: Array = truth.case.format.u * truth.partition.scatter(loss * bounds.backward_scale(truth))
    return out
