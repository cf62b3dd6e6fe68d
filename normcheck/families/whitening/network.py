"""Whitening layers as networks, for the table of the field: their closed forms in float64."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FLOAT64, Array
from normcheck.core.network_table import NetworkFunction
from normcheck.families.whitening import bounds
from normcheck.families.whitening.case import WhiteningCase
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import answer

SPACE = 4
EPS = 2.0**-60


def network(entry: Whitening) -> NetworkFunction:
    """The closed form as a network, in one group."""

    def of_sums(data: Array, weights: Array) -> tuple[Array, Array]:
        x, units = np.ascontiguousarray(np.moveaxis(data @ weights.T, 1, 2)), len(weights)
        case = WhiteningCase(
            x, np.zeros(x.shape), None, None, np.zeros(units), np.eye(units)[None], EPS, 0.0, 1, FLOAT64
        )  # fmt: skip
        return answer(entry.root, case).y, bounds.allowed(entry.root, case).y

    return NetworkFunction(of_sums, SPACE)
