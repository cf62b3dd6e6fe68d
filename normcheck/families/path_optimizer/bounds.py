"""How far a correct step may be off: each parameter, what follows for outputs, and kappa as it is read off a step.

Sums of squares have no cancellation, so a bound counts roundings; u is the unit roundoff of the case's format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from normcheck.core.floats import FLOAT64, Array, Format
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import OptimizerCase, Parameters, layers, weights_of


def roundings(parameters: Sequence[Array]) -> float:
    """Roundings of kappa and of the step, for one edge.

    Each layer costs a square, a product and a sum of as many terms as it has nodes, running sums included, and kappa
    is the product of both directions. Taken twice, for code that takes roots and squares them again.
    """
    return 2.0 * (sum(sum(w.shape) + 6.0 for w in weights_of(parameters)) + 4.0)


def step(before: Sequence[Array], after: Sequence[Array], format: Format) -> Parameters:
    """Of each parameter after a step, of the parameters' shapes: the roundings of the step, and one of the sum.

    A learning rate is a double, and may be rounded to the format. The sum is one rounding, taken four times.
    """
    count = roundings(before)
    return tuple(
        format.u * (count * np.abs(b - a) + 4.0 * np.maximum(np.abs(a), np.abs(b))) + 4.0 * format.floor
        for b, a in zip(before, after, strict=True)
    )


def outputs(parameters: Sequence[Array], errors: Sequence[Array], x: Array) -> Array:
    """Of outputs, (cases, outputs), if each parameter is off by its error.

    First order: |dh| grows by |W| |dh| + |dW| |h| in each layer, and a ReLU does not make it larger.
    """
    held = reference.activations(parameters, x)
    off = np.zeros_like(x)
    for level, ((weight, _), (error, shift)) in enumerate(zip(layers(parameters), layers(errors), strict=True)):
        own = FLOAT64.u * (weight.shape[1] + 2.0)
        size = np.abs(held[level]) @ np.abs(weight).T
        off = off @ np.abs(weight).T + (np.abs(held[level]) + off) @ error.T + own * size
        off = off if shift is None else off + shift
    return off


def rescaled(before: Sequence[Array], after: Sequence[Array], format: Format) -> Parameters:
    """Of a stepped and rescaled net against a rescaled and stepped one: each is off by a step's bound."""
    return tuple(2.0 * part for part in step(before, after, format))


def read_kappa(case: OptimizerCase, before: Array, after: Array, passing: Array) -> float:
    """Of the sum of kappa_e w_e^2 over a layer, kappa read off the step; infinite if a step has too few digits left.

    passing: kappa_e w_e^2 of each edge. A step is the difference of two rounded weights, so the relative error of a
    kappa is u 2 max(|w|, |w'|) / |w' - w| and its own roundings. To first order, so only if all are below sqrt(u); and
    taken twice, for what is beyond first order.
    """
    u, moved = case.format.u, before - after
    with np.errstate(all="ignore"):
        blur = u * (2.0 * np.maximum(np.abs(before), np.abs(after)) / np.abs(moved) + roundings(case.parameters))
    return 2.0 * float((passing * blur).sum()) if np.all(blur < math.sqrt(u)) else math.inf
