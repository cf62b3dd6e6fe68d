"""The recipe of cases with a linear layer below the normalizer, for Table 1."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import FORMATS, Array
from normcheck.normalizers.case import Case, Linear, Move
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, has_weight, parameters, split
from normcheck.normalizers.transforms import summed


def network(normalizer: Normalizer, draw: Draw) -> Case:
    """A case with a linear layer below the normalizer, for Table 1. All numbers are dyadic, so summed inputs are exact.

    Weights and data are multiples of 1/4 up to 2 in size, scaled by a power of two: products and sums of up to
    nine inputs, scaled by 3 or shifted by another such sum, fit in 24 bits.
    """
    rng = np.random.default_rng(draw.seed)
    format = FORMATS[draw.format]
    maps = draw.rank > 2 and normalizer.sets.layout == "channels"
    space = draw.n if maps else 1
    inputs, cases = 5 + draw.seed % 5, 4 + draw.seed % 3
    grouped = "unit" in normalizer.sets.members and normalizer.sets.layout == "channels"
    groups = 1 if not grouped else 2 if draw.fixed is None else draw.fixed.groups
    units = 4 * groups if grouped else draw.sets
    if draw.fixed is not None and draw.fixed.units is not None:
        units = draw.fixed.units
    unit = 2.0**draw.scale

    def grid(*size: int) -> Array:
        return rng.integers(-8, 9, size) / 4.0

    linear = Linear(grid(cases, space, inputs) * unit, grid(units, inputs))
    if normalizer.acts_on == "weight":
        linear = Linear(linear.data, linear.weights + np.where(np.arange(inputs) == 0, 0.25, 0.0) * unit)
    move = Move(
        draw.delta,
        int(rng.integers(cases)),
        int(rng.integers(units)),
        tuple(float(v) for v in grid(inputs) * unit + 0.25 * unit),
    )
    weight, bias = parameters(rng, (units, 1) if normalizer.acts_on == "weight" else (units,), format)
    case = Case(
        x=linear.weights,
        eps=draw.eps if normalizer.eps is not None else 0.0,
        format=format,
        weight=weight if has_weight(normalizer, draw) else None,
        bias=bias if normalizer.bias and draw.biased else None,
        groups=groups,
        part=0.25 if normalizer.partial else 1.0,
        linear=linear,
        move=move,
        drawn={"seed": draw.seed, "delta": draw.delta},
    )
    if draw.fixed is not None and len(draw.fixed.shape) > 1:
        shape = draw.fixed.shape
        case = case.but(
            x=np.empty((cases, *shape)),
            normalized=len(shape),
            weight=None if case.weight is None else case.weight.reshape(shape),
            bias=None if case.bias is None else case.bias.reshape(shape),
        )
        return on_network(normalizer, case, linear)
    return on_network(normalizer, case, linear, draw.rank)


def on_network(normalizer: Normalizer, case: Case, linear: Linear, rank: int | None = None) -> Case:
    """The case on another linear layer, whose summed inputs (or whose weights) become the input."""
    if normalizer.acts_on == "weight":
        return case.but(x=linear.weights, linear=linear)
    a = summed(linear)
    if normalizer.sets.layout == "trailing":
        x = np.moveaxis(a, 1, 2).reshape(-1, a.shape[1])
        return case.but(x=x.reshape(case.x.shape if rank is None else (1,) * (rank - 2) + x.shape), linear=linear)
    if rank is None:
        return case.but(x=a.reshape(case.x.shape), linear=linear)
    return case.but(x=a.reshape(*a.shape[:2], *split(a.shape[2], rank - 2)) if rank > 2 else a[:, :, 0], linear=linear)
