"""Normalizers of the main family as networks, for the table of the field: their references in float64."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.network_table import NetworkFunction
from normcheck.normalizers.bounds import bounds, linear_maps
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate

SPACE = 3
GROUPS, PART = 2, 0.5
EPS = 2.0**-80
"""An eps that changes nothing."""


def _case(normalizer: Normalizer, x: Array) -> Case:
    return Case(x, EPS, groups=GROUPS if "group" not in normalizer.sets.members else 1, part=PART)


def network(normalizer: Normalizer) -> NetworkFunction:
    """The reference as a network, without weight and bias."""

    def of_weights(data: Array, weights: Array) -> tuple[Array, Array]:
        truth = evaluate(normalizer, _case(normalizer, weights))
        flat = data.reshape(-1, data.shape[-1])
        off = linear_maps.product(flat, truth.y, bounds.forward(truth, bounds.SOUND).total)
        shape = (*data.shape[:2], len(weights))
        return np.moveaxis((flat @ truth.y.T).reshape(shape), 1, 2), np.moveaxis(off.reshape(shape), 1, 2)

    def of_sums(data: Array, weights: Array) -> tuple[Array, Array]:
        sums = data @ weights.T  # (cases, space, units)
        last = normalizer.sets.layout == "trailing"
        x = sums if last else np.moveaxis(sums, 1, 2)
        truth = evaluate(normalizer, _case(normalizer, np.ascontiguousarray(x)))
        off = np.broadcast_to(bounds.forward(truth, bounds.SOUND).total, x.shape)
        return (np.moveaxis(truth.y, 1, 2), np.moveaxis(off, 1, 2)) if last else (truth.y, off)

    if normalizer.acts_on == "weight":
        return NetworkFunction(of_weights, sums=False)
    return NetworkFunction(of_sums, SPACE if normalizer.spatial else 1)
