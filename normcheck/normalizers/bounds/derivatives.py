"""Bounds of derivatives other than dx (forward mode, second derivatives, differences) and of identities of dx."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import Truth


@bounds.once
def tangent(truth: Truth, accuracy: bounds.Accuracy) -> bounds.ErrorBound:
    """Bound of J v, the derivative of y along the case's tangent v: that of dx with the tangent as cotangent."""
    fmt, part = truth.case.format, truth.partition
    assert truth.case.tangent is not None, "the case has no tangent"
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    scale = gain * part.scatter(
        bounds.conditioning(truth, accuracy) * bounds.scale_of(truth, part.gather(truth.case.tangent))
    )
    terms = {"statistics": accuracy.growth(truth.setting.n) * accuracy.unit(fmt) * scale}
    terms["underflow"] = np.asarray(4.0 * fmt.floor)
    if fmt.narrow:
        terms["paths rounded"] = 4.2 * fmt.u * scale
    return bounds.ErrorBound(terms)


@bounds.once
def second(truth: Truth, accuracy: bounds.Accuracy) -> bounds.ErrorBound:
    """Bound of the derivative of <dx, v> with respect to x, v the case's tangent.

    T is differentiated once more along v, term by term: the scale s changes by at most the mean of |v xh|, each xh by
    V, the T of the tangent. Conditioning multiplies each of the two derivatives.
    """
    case, part, k = truth.case, truth.partition, truth.setting
    assert case.tangent is not None, "the case has no tangent"
    assert truth.normalized_cotangent is not None, "the case has no cotangent"
    v, g, s = np.abs(part.gather(case.tangent)), np.abs(truth.normalized_cotangent), truth.saved.s
    size = 1.0 + np.abs(truth.saved.xh)
    if bounds.given(truth):
        return bounds.ErrorBound({"affine": np.asarray(4.0 * case.format.floor)})
    along, across = bounds.scale_of(truth, v), bounds.scale_of(truth, g)
    shrinks = (v * size).sum(axis=1, keepdims=True) / k.divisor / s
    turns = along * (g * size).sum(axis=1, keepdims=True) + size * (g * along).sum(axis=1, keepdims=True)
    scale = shrinks * across + turns / k.divisor / s
    scale = scale + scale.mean(axis=1, keepdims=True)
    unit = accuracy.growth(k.n) * accuracy.unit(case.format)
    terms = {"statistics": part.scatter(unit * np.square(bounds.conditioning(truth, accuracy)) * scale)}
    terms["underflow"] = np.asarray(4.0 * case.format.floor)
    return bounds.ErrorBound(terms)


def identity_sum(truth: Truth, accuracy: bounds.Accuracy) -> Array:
    """Bound of the sum of dx over each set, (sets,): the sum of the bounds of dx."""
    flat = truth.partition.gather(np.broadcast_to(bounds.backward(truth, accuracy).total, truth.case.x.shape))
    out: Array = flat.sum(axis=1)
    return out


def identity_inner(truth: Truth, accuracy: bounds.Accuracy, other: Array) -> Array:
    """Bound of <dx, other> over each set, (sets,); other: (sets, members)."""
    flat = truth.partition.gather(np.broadcast_to(bounds.backward(truth, accuracy).total, truth.case.x.shape))
    out: Array = (flat * np.abs(other)).sum(axis=1)
    return out


def _reach(truth: Truth) -> float:
    """Smallest step along a direction of entries 1 and -1 that changes some set by its own scale."""
    k = truth.setting
    return float(truth.saved.s.min()) / max(1.0, float(np.sqrt(k.part / k.divisor)))


def richardson_step(truth: Truth) -> float:
    """Step of the fourth-order difference along a direction of entries 1 and -1: a thousandth of the reach."""
    return 1e-3 * _reach(truth)


WELL_CONDITIONED = 100.0
"""Largest kappa at which finite differences are compared with a backward.

The forward's rounding grows with kappa, and a difference divides it by the step: from 100 on the bound says little.
"""


def differences_resolve(truth: Truth) -> bool:
    """Whether kappa is small enough for finite differences to distinguish a right derivative from a wrong one."""
    return float(truth.kappa.max()) <= WELL_CONDITIONED


def directional(truth: Truth, step: float) -> float:
    """Bound between <dx, v> and a fourth-order central difference of <dy, y(x + h v)>, in float64; v: entries 1 and -1.

    step: h. (8 (y(h) - y(-h)) - (y(2h) - y(-2h))) / (12 h) has four evaluations, each off by at most
    sum |dy| |bound of y|, with weights that sum to 18 / 12 = 3/2. dx is off by its own bound in every entry.
    xh(x + t v) is analytic for |t| < R, about s / sqrt(2) for a direction of root mean square 1, so its fifth
    derivative is at most 5! M / R^5, and the truncation of the difference h^4 / 30 of that: 4 sqrt(2)^5 < 32 times
    (h / s)^4 of the scale of the derivative.
    """
    dy = truth.case.dy
    assert dy is not None, "the case has no cotangent"
    noise = float((np.abs(dy) * np.broadcast_to(bounds.forward(truth, bounds.SOUND).total, dy.shape)).sum())
    truncation = 32.0 * (step / _reach(truth)) ** 4 * float(bounds.backward_scale(truth).sum())
    own = float(np.broadcast_to(bounds.backward(truth, bounds.SOUND).total, dy.shape).sum())
    return 1.5 * noise / step + truncation + own
