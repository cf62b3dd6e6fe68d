"""Activations after a normalizer, y = act(norm(x)), and what of a network the forms of these names compute.

All of them have the form act(y) = y h(y) with h(y) + h(-y) = 1, so act(y) - act(-y) = y: two calls of opposite inputs
give the plain normalizer's output. Their difference is exact for ReLU, and rounded a few times for the others.
Sources: Nair and Hinton 2010 (ReLU); Hendrycks and Gimpel 2016, section 2 (GELU, and its form with tanh); Elfwing et
al. 2018, equations 4 and 5 (SiLU).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of each entry, with its derivative.

    steepest: the largest |derivative|, a Lipschitz constant. bend: the same of the derivative, where that is
    continuous. kink: the derivative jumps at 0.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    steepest: float
    bend: float
    kink: bool = False


def _normal(y: Array) -> Array:
    """The distribution function of the standard normal distribution."""
    return np.asarray(0.5 * (1.0 + np.asarray(np.frompyfunc(math.erf, 1, 1)(y / math.sqrt(2.0)), dtype=np.float64)))


def _density(y: Array) -> Array:
    return np.asarray(np.exp(-0.5 * y * y) / math.sqrt(2.0 * math.pi))


CUBE = 0.044715
"""The factor of y^3 in the form of GELU with tanh."""


def _inner(y: Array) -> Array:
    return np.asarray(np.tanh(math.sqrt(2.0 / math.pi) * (y + CUBE * y**3)))


def _gelu_tanh_slope(y: Array) -> Array:
    inner = _inner(y)
    moved = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * CUBE * y * y)
    return np.asarray(0.5 * (1.0 + inner) + 0.5 * y * (1.0 - inner * inner) * moved)


def sigmoid(y: Array) -> Array:
    """1 / (1 + exp(-y))."""
    return np.asarray(1.0 / (1.0 + np.exp(-y)))


def _silu_slope(y: Array) -> Array:
    return sigmoid(y) * (1.0 + y * (1.0 - sigmoid(y)))


ACTIVATIONS = {
    one.name: one
    for one in (
        Activation("relu", lambda y: np.maximum(y, 0.0), lambda y: (y > 0.0).astype(np.float64), 1.0, 0.0, kink=True),
        Activation("gelu", lambda y: y * _normal(y), lambda y: _normal(y) + y * _density(y), 1.13, 0.8),
        Activation("gelu-tanh", lambda y: 0.5 * y * (1.0 + _inner(y)), _gelu_tanh_slope, 1.13, 0.8),
        Activation("silu", lambda y: y * sigmoid(y), _silu_slope, 1.1, 0.5),
    )
}
"""Every activation, by the name of its form in a contract."""

AFTER = {name: f"after {name}" for name in ACTIVATIONS}
"""The way to call in which x is given as it is, and what is returned is checked as act(norm(x))."""

ACTIVATED = {use: ACTIVATIONS[name] for name, use in AFTER.items()}
"""The activation of each of these ways."""
