"""A hidden layer of tanh to which a linear part is added, in float64: linear transformations in perceptrons.

    y = A f(B x + b) + C x + c,  f(a) = tanh(a) + alpha a + beta    (Raiko, Valpola, LeCun 2012)

A refresh chooses alpha and beta such that f and its slope are zero on average over a batch, and changes C and c so that
the function stays the same; the gradient changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array

Weights = tuple[Array, Array, Array, Array, Array]
"""B (hidden, inputs), b (hidden,), A (outputs, hidden), C (outputs, inputs), c (outputs,)."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearPart:
    """alpha and beta of each hidden node, (hidden,) each."""

    slope: Array
    shift: Array


def none(weights: Weights) -> LinearPart:
    """No linear part: f = tanh."""
    return LinearPart(np.zeros_like(weights[1]), np.zeros_like(weights[1]))


def arriving(weights: Weights, x: Array) -> Array:
    """B x + b, (cases, hidden)."""
    return np.asarray(x @ weights[0].T + weights[1])


def hidden(weights: Weights, linear: LinearPart, x: Array) -> Array:
    """f, (cases, hidden)."""
    a = arriving(weights, x)
    return np.asarray(np.tanh(a) + linear.slope * a + linear.shift)


def outputs(weights: Weights, linear: LinearPart, x: Array) -> Array:
    """y, (cases, outputs)."""
    return np.asarray(hidden(weights, linear, x) @ weights[2].T + x @ weights[3].T + weights[4])


def chosen(weights: Weights, x: Array) -> LinearPart:
    """alpha = -mean(1 - tanh^2), then beta = -mean(tanh + alpha a)."""
    a = arriving(weights, x)
    slope = -(1.0 - np.tanh(a) ** 2).mean(axis=0)
    return LinearPart(slope, -(np.tanh(a) + slope * a).mean(axis=0))


def compensated(weights: Weights, before: LinearPart, after: LinearPart) -> Weights:
    """The weights with which the function stays: C -= A da B, c -= A (da b + db), da and db the changes of the part."""
    inner, bias, outer, short, shift = weights
    slope, offset = after.slope - before.slope, after.shift - before.shift
    return inner, bias, outer, short - outer @ (slope[:, None] * inner), shift - outer @ (slope * bias + offset)


def gradients(weights: Weights, linear: LinearPart, x: Array, dy: Array) -> Weights:
    """Gradients of <dy, y> by each weight, alpha and beta constant."""
    a = arriving(weights, x)
    inner = dy @ weights[2] * (1.0 - np.tanh(a) ** 2 + linear.slope)
    return inner.T @ x, inner.sum(axis=0), dy.T @ hidden(weights, linear, x), dy.T @ x, dy.sum(axis=0)


def stepped(weights: Weights, linear: LinearPart, x: Array, dy: Array, rate: float) -> Weights:
    """The weights after one step of gradient descent."""
    inner, bias, outer, short, shift = (
        w - rate * g for w, g in zip(weights, gradients(weights, linear, x, dy), strict=True)
    )
    return inner, bias, outer, short, shift
