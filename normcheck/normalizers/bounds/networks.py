"""Bounds of experiments on small networks with a normalizer: parameters after gradient descent, initialized layers."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FLOAT64, Array


def descent(steps: int, size: Array) -> Array:
    """Rounding of a parameter after some steps of gradient descent in float64, beside what its gradients were off by.

    size: |first| + |last| value of the parameter; where it moves in one direction, none on the way is larger.
    b <- b - rate slope rounds the product and the difference: u (|rate slope| + |b|) for each step, and the product is
    the difference of two values of b: 3 u |b| at most, of which 4 u size is more.
    The additions in the slope, a sum of n entries, are part of the bound of the gradient: its constant is at least n
    (`Accuracy.growth`).
    """
    return 4.0 * steps * FLOAT64.u * size


def along(off: Array, x: Array) -> Array:
    """Bound of each term of <dx, x> from that of dx, which is off."""
    return off * np.abs(x)


def layer_gradient(dx: Array, lost: Array) -> Array:
    """Bound of each dx as a linear layer below sums it up in float64; lost: bound of dx itself.

    Beside the bound of dx itself, a sum of n products is off by n u times the sum of their sizes (Higham 2002, section
    3.1), and the sums of the projection that follows by as much; 8 n u |dx| admits them, n the number of all entries.
    """
    return np.asarray(lost + 8.0 * dx.size * FLOAT64.u * np.abs(dx))


def projected(off: Array, v: Array, gain: Array) -> Array:
    """Bound of dL/dv = gain (dL/dw - <dL/dw, v> v / |v|^2) from that of dL/dw = off; v: (units, inputs)."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    share = (off * np.abs(v)).sum(axis=1, keepdims=True) * np.abs(v) / length**2
    return np.asarray(gain * (off + share))


SPREAD = 2.0**-20
"""Units whose pre-activations spread less, as a share of their size, are not initialized by data.

The length 1 / sigma is then so large that rounding the weights, by 2^-24 in float32, is no longer small beside sigma.
"""


def initialized(data: Array, weights: Array, bound: Array, bias: Array) -> tuple[Array, Array]:
    """Bounds of the mean and the variance over the data of t = w x + b, one for each unit.

    data: (cases, inputs); weights, bound: (units, inputs); bias: (units,). t is off by e: |x| bound, and roundings. Its
    sum of n products is off by n u times the sum of their sizes (Higham 2002, section 3.1), mean and variance over the
    cases by as many u as there are cases, and the operations around them by 8 at most. The mean is then off by mean e,
    the variance, which is 1, by 2 sqrt(mean e^2) + mean e^2 (Cauchy and Schwarz).
    """
    size = np.abs(data) @ np.abs(weights).T + np.abs(bias)
    error = np.abs(data) @ bound.T + FLOAT64.u * (sum(data.shape) + 8.0) * size
    square = np.square(error).mean(axis=0)
    return error.mean(axis=0), 2.0 * np.sqrt(square) + square
