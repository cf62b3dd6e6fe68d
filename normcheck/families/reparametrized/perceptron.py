"""A hidden layer of tanh whose outputs are made linear transformations of themselves, in float64.

    y = A f(B x + b) + C x + c,  f(a) = tanh(a) + alpha a + beta    (Raiko, Valpola, LeCun 2012)

A refresh chooses alpha and beta such that f and its slope are zero on average over a batch, and moves what that changes
into C and c: the function stays, and the gradient is another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array

Weights = tuple[Array, Array, Array, Array, Array]
"""B (hidden, inputs), b (hidden,), A (outputs, hidden), C (outputs, inputs), c (outputs,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """alpha and beta of each hidden node."""

    slope: Array
    shift: Array


def straight(weights: Weights) -> Bend:
    """f = tanh."""
    return Bend(np.zeros_like(weights[1]), np.zeros_like(weights[1]))


def arriving(weights: Weights, x: Array) -> Array:
    """B x + b, (cases, hidden)."""
    return np.asarray(x @ weights[0].T + weights[1])


def hidden(weights: Weights, bend: Bend, x: Array) -> Array:
    """f, (cases, hidden)."""
    a = arriving(weights, x)
    return np.asarray(np.tanh(a) + bend.slope * a + bend.shift)


def outputs(weights: Weights, bend: Bend, x: Array) -> Array:
    """(cases, outputs)."""
    return np.asarray(hidden(weights, bend, x) @ weights[2].T + x @ weights[3].T + weights[4])


def chosen(weights: Weights, x: Array) -> Bend:
    """alpha = -mean(1 - tanh^2), then beta = -mean(tanh + alpha a)."""
    a = arriving(weights, x)
    slope = -(1.0 - np.tanh(a) ** 2).mean(axis=0)
    return Bend(slope, -(np.tanh(a) + slope * a).mean(axis=0))


def compensated(weights: Weights, before: Bend, after: Bend) -> Weights:
    """The weights with which the function stays: C -= A da B, c -= A (da b + db), da and db the changes of the bend."""
    inner, bias, outer, short, shift = weights
    slope, offset = after.slope - before.slope, after.shift - before.shift
    return inner, bias, outer, short - outer @ (slope[:, None] * inner), shift - outer @ (slope * bias + offset)


def gradients(weights: Weights, bend: Bend, x: Array, dy: Array) -> Weights:
    """Of <dy, y> by each weight, alpha and beta constant."""
    a = arriving(weights, x)
    inner = dy @ weights[2] * (1.0 - np.tanh(a) ** 2 + bend.slope)
    return inner.T @ x, inner.sum(axis=0), dy.T @ hidden(weights, bend, x), dy.T @ x, dy.sum(axis=0)


def stepped(weights: Weights, bend: Bend, x: Array, dy: Array, rate: float) -> Weights:
    """One step of gradient descent."""
    inner, bias, outer, short, shift = (
        w - rate * g for w, g in zip(weights, gradients(weights, bend, x, dy), strict=True)
    )
    return inner, bias, outer, short, shift
