"""Bounds of linear maps: a layer below or above a normalizer, and evaluation, which is affine, folded into one."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FLOAT64, Array


def product(data: Array, weights: Array, bound: Array) -> Array:
    """Bound of data @ weights.T computed in float64, (cases, units). data: (cases, inputs); bound: of the weights.

    Each product carries the weight's bound over times |data|; a sum of n products is off by at most n u times the sum
    of their sizes (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1).
    """
    out: Array = np.abs(data) @ (bound + data.shape[-1] * FLOAT64.u * np.abs(weights)).T
    return out


def line(x: Array, slope: Array, shift: Array, own: Array) -> Array:
    """Bound of y - (a x + b), a = y(1) - y(0) and b = y(0), from the bounds of a, of b and of y itself."""
    return np.abs(x) * slope + shift + own


def line_gradient(dy: Array, slope: Array, own: Array) -> Array:
    """Bound of dx - a dy from the bounds of a and of dx itself."""
    return np.abs(dy) * slope + own


def folded(data: Array, weights: Array, scaled: Array, terms: Array) -> Array:
    """Rounding of a folded layer data @ weights.T + (a c + b) in float64, (cases, units).

    scaled: a c; terms: |b| + 2 |bias|, which is at least the size of every term of b = bias - a mean; one for each
    unit. Beside the product, a takes 3 roundings (v + eps, its root, the quotient), a c one more, b two more, and the
    sums two: 8 u of the sizes of the terms.
    """
    rounding = 8.0 * FLOAT64.u * (np.abs(scaled) + terms)
    return np.asarray(product(data, weights, np.zeros(())) + rounding)


def midpoint(first: Array, second: Array, middle: Array) -> Array:
    """Bound of y(middle) - (y(first) + y(second)) / 2, from the bounds of the three answers."""
    return middle + (first + second) / 2.0


def folded_midpoint(first: Array, second: Array, middle: Array) -> Array:
    """Bound between an answer at a midpoint and the mean of two exact outputs of the folded layer there.

    The answer is off by its own bound. The folded outputs are computed in float64, whatever the format; the rounding of
    their product is a part of the bounds of the answers to the same data, so their mean is off by less than the mean of
    these. Four times that is allowed, so that rounding in the reference never decides.
    """
    return 2.0 * (first + second) + middle
