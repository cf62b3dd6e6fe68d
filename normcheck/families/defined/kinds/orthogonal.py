"""Weights with orthonormal rows or columns, as functions of a weight without constraint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip

LOWER, UPPER, WHOLE = "lower", "upper", "whole"
"""Which entries of the weight the skew-symmetric matrix is made of."""

_PARTS: Mapping[str, Callable[[Any], Any]] = {LOWER: np.tril, UPPER: np.triu, WHOLE: lambda x: x}


def _tall(x: Any) -> Any:
    """The weight with at least as many rows as columns."""
    return x if x.shape[0] >= x.shape[1] else x.T


def _like(made: Any, x: Any) -> Any:
    """The first columns of a square matrix, in the shape of a weight."""
    columns = made[:, : min(x.shape)]
    return columns if x.shape[0] >= x.shape[1] else columns.T


def _skew(x: Any, triangle: str) -> Any:
    """A - A^T of the entries of the tall weight, with columns of zeros up to a square."""
    part = _PARTS[triangle](_tall(x))
    square = np.pad(part, ((0, 0), (0, part.shape[0] - part.shape[1])))
    return square - square.T


def _map_of(skew: Any, scale: float) -> Any:
    """The Cayley map (I - s A)^-1 (I + s A)."""
    one = np.eye(len(skew), dtype=skew.dtype)
    return np.linalg.solve(one - scale * skew, one + scale * skew)


def _cayley(x: Any, skew_scale: float = 0.5, triangle: str = LOWER) -> Any:
    return _like(_map_of(_skew(x, triangle), skew_scale), x)


def _not_skew(x: Any, skew_scale: float, triangle: str) -> Any:
    """The same map of A + A^T."""
    part = _PARTS[triangle](_tall(x))
    square = np.pad(part, ((0, 0), (0, part.shape[0] - part.shape[1])))
    return _like(_map_of(square + square.T, skew_scale), x)


def _series(x: Any, skew_scale: float, triangle: str) -> Any:
    """I + s A + (s A)^2 for the inverse."""
    skew = skew_scale * _skew(x, triangle)
    one = np.eye(len(skew), dtype=skew.dtype)
    return _like((one + skew + skew @ skew) @ (one + skew), x)


def _half_only(x: Any, skew_scale: float, triangle: str) -> Any:
    """The inverse alone."""
    skew = skew_scale * _skew(x, triangle)
    one = np.eye(len(skew), dtype=skew.dtype)
    return _like(np.linalg.inv(one - skew), x)


_FORMS = tuple(product((LOWER, WHOLE, UPPER), (0.5, 1.0, -1.0, -0.5)))
"""What code may fix: the entries that it reads, and the factor of the skew-symmetric matrix."""

orthogonal_parametrization = DefinedNormalizer(
    name="orthogonal_parametrization",
    title="orthogonal weight by the Cayley map",
    paper=Paper(
        "Lezcano-Casado, Martinez-Rubio",
        2019,
        "Cheap Orthogonal Constraints in Neural Networks: A Simple Parametrization of the Orthogonal and Unitary Group",
        "https://arxiv.org/abs/1901.08428",
        "section 3",
    ),
    formula="w = the first columns of (I - A / 2)^-1 (I + A / 2), A = L - L^T, L the lower triangle of v, a wide v "
    "transposed",
    layout="rows",
    ranks=(2,),
    units=(6, 5, 11, 33),
    forward=_cayley,
    options={"triangle": tuple(part for part, _ in _FORMS), "skew_scale": tuple(scale for _, scale in _FORMS)},
    conventions=frozenset({"triangle", "skew_scale"}),
    derived=row("no  no  no  no  no  no"),
    note="As torch.nn.utils.parametrizations.orthogonal has it with orthogonal_map='cayley' and no trivialization: a "
    "weight (units, inputs) with more units than inputs has orthonormal columns, another one orthonormal rows. Public "
    "code also takes A for A / 2, its opposite, (I + A)^-1 (I - A), the upper triangle, or all entries of v: in code "
    "that takes no such options these are measured. The matrix exponential, Householder vectors and Bjorck's "
    "iteration are other functions.",
    slips=(
        Slip("orthogonal-not-skew", "Adds the transpose, for the difference.", _not_skew),
        Slip("orthogonal-series-for-inverse", "Takes three terms of the series for the inverse.", _series),
        Slip("orthogonal-inverse-alone", "Does not multiply by I + A.", _half_only),
        Slip(
            "orthogonal-transposed",
            "Returns the transpose of the square matrix, its inverse.",
            lambda x, skew_scale, triangle: _cayley(x, -skew_scale, triangle),
        ),
        Slip(
            "orthogonal-other-triangle",
            "Reads the entries above the diagonal, for those below.",
            lambda x, skew_scale, triangle: _cayley(
                x, skew_scale, {LOWER: UPPER, UPPER: LOWER, WHOLE: LOWER}[triangle]
            ),
        ),
    ),
)

ENTRIES = (orthogonal_parametrization,)
