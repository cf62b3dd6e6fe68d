"""Bounds of what an activation after a normalizer returns, from those of the normalizer."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.activations import Activation
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import Truth

STEPS = 6.0
"""Roundings of an activation and its derivative, each at most u of the size of their terms: those of the argument of an
exponential or an error function, of that function, and of a sum and two products, with the normalized input rounded to
a narrow format before."""

TERMS = 2.0
"""No term of the derivative of an activation is larger."""


def output(activation: Activation, y: Array, bound: Array, case: Case) -> Array:
    """Bound of act(y). y, bound: the normalizer's output and its bound."""
    own = 0.0 if activation.kink else STEPS
    return np.asarray(activation.steepest * bound + own * case.format.u * np.abs(y) + 4.0 * case.format.floor)


def input_gradient(activation: Activation, truth: Truth, bounds: tuple[Array, Array], case: Case) -> Array:
    """Bound of the gradient of the input through act(norm(x)).

    truth: of the plain case with the cotangent dy act'(y); bounds: those of its y and dx. To the bound of its dx comes
    what the normalizer's backward pass makes of the error of act'(y). That is all of a jump where y may lie on either
    side of it, so an entry at a kink is compared with nothing.
    """
    assert case.dy is not None
    if activation.kink:
        off = (np.abs(truth.y) <= bounds[0]).astype(np.float64)
    else:
        off = activation.bend * bounds[0] + STEPS * TERMS * case.format.u
    gain = 1.0 if truth.gain is None else np.abs(truth.gain)
    return np.asarray(bounds[1] + backward(truth, np.abs(case.dy) * gain * off) + 4.0 * case.format.floor)


def backward(truth: Truth, g: Array) -> Array:
    """The largest change of dx that changes of dL/dxh of these sizes can make.

    dx = (g - mean(g) - xh mean(g xh)) / s (Ioffe, Szegedy 2015, section 2), with the sizes of all terms added.
    """
    part, saved, k = truth.partition, truth.saved, truth.setting
    sets, xh = part.gather(np.broadcast_to(g, truth.y.shape)), np.abs(saved.xh)
    with np.errstate(all="ignore"):
        through_mean = sets.sum(axis=1, keepdims=True) / k.part
        through_scale = (sets * xh).sum(axis=1, keepdims=True) / k.divisor
        return part.scatter((sets + through_mean + xh * through_scale) / saved.s)
