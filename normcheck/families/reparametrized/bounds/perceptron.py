"""How far a correct hidden layer of tanh with a linear part may be off: to first order, entry by entry.

u is the unit roundoff; the notation is that of `reference.perceptron`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.bounds.roundings import roundings
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.reference import perceptron
from normcheck.families.reparametrized.reference.perceptron import LinearPart, Weights


@dataclass(frozen=True, slots=True, eq=False)
class HiddenErrors:
    """What hidden nodes may be off by, (cases, hidden), and alpha and beta, which are statistics."""

    arriving: Array  # of B x + b
    value: Array  # of f
    slope: Array  # of f'
    size: Array  # the sum of the sizes of the terms of f
    off_slope: Array  # (hidden,), of alpha
    off_shift: Array  # (hidden,), of beta


def hidden(weights: Weights, linear: LinearPart, x: Array, u: float) -> HiddenErrors:
    """tanh and its derivative are off by a few roundings, and by the error of their argument."""
    inner, bias = weights[0], weights[1]
    a = perceptron.arriving(weights, x)
    count = roundings(len(x), 0)
    arriving = roundings(0, inner.shape[1]) * u * (np.abs(x) @ np.abs(inner).T + np.abs(bias))
    size = 1.0 + np.abs(linear.slope * a) + np.abs(linear.shift)
    value = (1.0 + np.abs(linear.slope)) * arriving + 4.0 * u * size
    off_slope = count * u + arriving.mean(axis=0)
    off_shift = (value + count * u * size + off_slope * np.abs(a)).mean(axis=0)
    return HiddenErrors(arriving, value, arriving + count * u, size, off_slope, off_shift)


def _at_refresh(case: ReparametrizedCase) -> HiddenErrors:
    """On the batch of the refresh itself."""
    inner, bias, outer, short, shift = case.weights
    weights, x = (inner, bias, outer, short, shift), case.batches[0][0]
    return hidden(weights, perceptron.chosen(weights, x), x, case.format.u)


def mean_output(case: ReparametrizedCase, dy: Array) -> Array:
    """Of the gradient of A, dy times the sum of f over the batch of the refresh, which is zero; of the shape of A.

    dy: the sizes of the derivative by outputs, (outputs,), the same at every case. Each f is off by its own error and
    by those of the mean that is in beta, so each is taken twice.
    """
    errors = _at_refresh(case)
    count = roundings(len(case.batches[0][0]), 0) * case.format.u
    summed = (2.0 * errors.value + 2.0 * count * errors.size).sum(axis=0)
    return np.outer(dy, summed)


def mean_slope(case: ReparametrizedCase, dy: Array) -> Array:
    """Of the gradient of b, A^T dy times the sum of f' over the batch of the refresh, which is zero; (hidden,).

    dy as in `mean_output`, and each f' taken twice for the same reason.
    """
    errors, outer = _at_refresh(case), case.weights[2]
    count = roundings(len(case.batches[0][0]), len(outer)) * case.format.u
    summed = (2.0 * errors.slope + 2.0 * count).sum(axis=0)
    return np.asarray((dy @ np.abs(outer)) * summed)


def outputs(weights: Weights, before: LinearPart, linear: LinearPart, x: Array, u: float) -> Array:
    """Of outputs after a refresh, (cases, outputs): those of a forward pass, and of the changes of C and c."""
    inner, bias, outer, short, shift = (np.abs(w) for w in weights)
    errors = hidden(weights, linear, x, u)
    count = roundings(0, sum(inner.shape))
    moved = np.abs(linear.slope) + np.abs(before.slope)
    carried = np.abs(x) @ (outer @ (moved[:, None] * inner)).T
    carried = carried + outer @ (moved * bias + np.abs(linear.shift) + np.abs(before.shift))
    plain = errors.size @ outer.T + np.abs(x) @ short.T + shift
    return np.asarray(errors.value @ outer.T + count * u * (carried + plain))


def sent(weights: Weights, linear: LinearPart, batch: tuple[Array, Array], u: float) -> Array:
    """Of the gradient by x, (cases, inputs): what passes the hidden layer, and what passes the shortcut.

    The shortcut holds what the linear part adds to the hidden layer, so both are larger than their sum.
    """
    inner, _, outer, short, _ = (np.abs(w) for w in weights)
    x, dy = batch[0], np.abs(batch[1])
    errors, slope = hidden(weights, linear, x, u), np.abs(linear.slope)
    count = roundings(0, sum(inner.shape) + len(outer)) * u
    passing = (dy @ outer) * (errors.slope + 2.0 * count * (1.0 + slope))
    return np.asarray(passing @ inner + count * dy @ (outer @ (slope[:, None] * inner) + short))


def stepped(weights: Weights, linear: LinearPart, batch: tuple[Array, Array], x: Array, rate: float, u: float) -> Array:
    """Of outputs after a refresh and a step, (cases, outputs): each weight is off by its gradient's error."""
    given, dy = batch
    after = perceptron.stepped(weights, linear, given, dy, rate)
    errors, later = hidden(weights, linear, given, u), hidden(after, linear, x, u)
    a, slope = perceptron.arriving(weights, given), errors.slope + errors.off_slope
    count = roundings(len(given), dy.shape[1])
    sent = np.abs(dy) @ np.abs(weights[2])
    bent = np.abs(1.0 - np.tanh(a) ** 2 + linear.slope)
    off_back = sent * slope + count * u * sent * bent
    value = errors.value + errors.off_slope * np.abs(a) + errors.off_shift
    off_inner = rate * (off_back + count * u * sent * bent).T @ np.abs(given) + 2.0 * u * np.abs(after[0])
    off_bias = rate * (off_back + count * u * sent * bent).sum(axis=0) + 2.0 * u * np.abs(after[1])
    off_outer = rate * np.abs(dy).T @ (value + count * u * errors.size) + 2.0 * u * np.abs(after[2])
    off_short = rate * count * u * np.abs(dy).T @ np.abs(given) + 2.0 * u * np.abs(after[3])
    off_last = rate * count * u * np.abs(dy).sum(axis=0) + 2.0 * u * np.abs(after[4])
    passed = (np.abs(x) @ off_inner.T + off_bias) * (1.0 + np.abs(linear.slope))
    reach, now = np.abs(after[2]) + np.abs(weights[2]), perceptron.arriving(after, x)
    before = perceptron.arriving(weights, x)
    blurred = errors.off_slope * (np.abs(now) + np.abs(before)) + errors.off_shift
    off = passed @ np.abs(after[2]).T + later.size @ off_outer.T + np.abs(x) @ off_short.T + off_last
    off = off + blurred @ reach.T
    return np.asarray(off + outputs(after, perceptron.none(weights), linear, x, u))
