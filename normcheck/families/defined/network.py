"""Defined normalizers as networks, for the table of the field: forwards with the same parameters for all units."""

from __future__ import annotations

import math

import numpy as np

from normcheck.core.floats import FLOAT64, Array
from normcheck.core.network_table import NetworkFunction
from normcheck.families.defined import bounds
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import INPUT, DefinedNormalizer
from normcheck.families.defined.reference import output

ADDED = ("bias", "beta", "shift")
"""Parameters that are added, and 0 here; of the others, weights are 1, and what else there is a number beside it."""

FACTORS = ("weight", "gamma")


def _arrays(entry: DefinedNormalizer, x: Array, units: int) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    out = {}
    for name in entry.parameters:
        shape = entry.shape(name, x, units)
        if name in entry.groups:
            count = entry.constants[entry.groups[name]]
            out[name] = np.arange(len(x)) * count // len(x) * 1.0
            continue
        value = 0.0 if name in ADDED else 1.0 if name in FACTORS else 0.75
        out[name] = rng.standard_normal(shape) if entry.shapes.get(name) == INPUT else np.full(shape, value)
    return out


def _case(entry: DefinedNormalizer, x: Array, units: int, arrays: dict[str, Array]) -> DefinedCase:
    eps = {"eps": bounds.NEGLIGIBLE * (entry.eps or 0.0)} if "eps" in entry.constants else {}
    shape = (len(x), units) if entry.layout == "linear" else x.shape
    return DefinedCase(x, _arrays(entry, x, units) | arrays, np.zeros(shape), entry.constants | eps, FLOAT64)


def _found(entry: DefinedNormalizer, case: DefinedCase) -> tuple[Array, Array]:
    return output(entry, case), bounds.allowed(entry, case, graded=False).y


def network(entry: DefinedNormalizer) -> NetworkFunction:
    """The forward as a network."""
    space = entry.spaces[entry.served[0]] if entry.layout in ("trailing", "channels") else ()

    def of_weights(data: Array, weights: Array) -> tuple[Array, Array]:
        w, off = _found(entry, _case(entry, weights, len(weights), {}))
        flat = data[:, 0]
        return (flat @ w.T)[..., None], bounds.product(flat, w, off, FLOAT64)[..., None]

    def of_both(data: Array, weights: Array) -> tuple[Array, Array]:
        (name,) = entry.parameters
        y, off = _found(entry, _case(entry, data[:, 0], len(weights), {name: weights}))
        return y[..., None], off[..., None]

    def of_sums(data: Array, weights: Array) -> tuple[Array, Array]:
        sums, units = data @ weights.T, len(weights)
        last = entry.layout == "trailing"
        x = sums if last else np.moveaxis(sums, 1, 2)
        shape = (len(x), *space, units) if last else (len(x), units, *space)
        y, off = _found(entry, _case(entry, np.ascontiguousarray(x).reshape(shape), units, {}))
        flat = [np.broadcast_to(one, shape).reshape(x.shape) for one in (y, off)]
        return (np.moveaxis(flat[0], 1, 2), np.moveaxis(flat[1], 1, 2)) if last else (flat[0], flat[1])

    if entry.layout == "rows":
        return NetworkFunction(of_weights, sums=False)
    if entry.layout == "linear":
        return NetworkFunction(of_both, sums=False)
    return NetworkFunction(of_sums, math.prod(space))
