"""Slopes of sigmoid and tanh, accurate to a few roundings for any input (`bounds.activations.slope`)."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array


def sigmoid_slope(y: Array) -> Array:
    """The derivative of the sigmoid, 1 / (2 + 2 cosh y): no cancellation at either end."""
    out: Array = 0.5 / (1.0 + np.cosh(y))
    return out


def tanh_slope(y: Array) -> Array:
    """The derivative of tanh, 1 / cosh^2 y."""
    out: Array = 1.0 / np.square(np.cosh(y))
    return out


SLOPES = {"sigmoid": sigmoid_slope, "tanh": tanh_slope}
"""Slopes by the name of the nonlinearity."""
