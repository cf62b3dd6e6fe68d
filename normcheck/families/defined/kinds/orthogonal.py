"""Weights with orthonormal rows or columns, as functions of a weight without constraint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.tracing.exponential import expm

CAYLEY, EXPONENTIAL = "cayley", "matrix_exp"
"""Maps from skew-symmetric to orthogonal matrices, as torch names them."""

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


def _square(x: Any, triangle: str) -> Any:
    """The entries of the tall weight that are read, with columns of zeros up to a square."""
    part = _PARTS[triangle](_tall(x))
    return np.pad(part, ((0, 0), (0, part.shape[0] - part.shape[1])))


def _skew(x: Any, triangle: str) -> Any:
    square = _square(x, triangle)
    return square - square.T


def _one(skew: Any) -> Any:
    return np.eye(len(skew), dtype=skew.dtype)


def _map_of(skew: Any, orthogonal_map: str) -> Any:
    """The Cayley map (I - S)^-1 (I + S), or the exponential of 2 S: the same to second order."""
    if orthogonal_map == EXPONENTIAL:
        return expm(2.0 * skew)
    return np.linalg.solve(_one(skew) - skew, _one(skew) + skew)


def _orthogonal(x: Any, orthogonal_map: str = CAYLEY, triangle: str = LOWER, skew_scale: float = 0.5) -> Any:
    return _like(_map_of(skew_scale * _skew(x, triangle), orthogonal_map), x)


def _not_skew(x: Any, orthogonal_map: str, triangle: str, skew_scale: float) -> Any:
    square = _square(x, triangle)
    return _like(_map_of(skew_scale * (square + square.T), orthogonal_map), x)


def _series(x: Any, orthogonal_map: str, triangle: str, skew_scale: float) -> Any:
    """I + S + S^2 for the inverse, or I + 2 S + 2 S^2 for the exponential."""
    skew = skew_scale * _skew(x, triangle)
    if orthogonal_map == EXPONENTIAL:
        return _like(_one(skew) + 2.0 * skew + 2.0 * (skew @ skew), x)
    return _like((_one(skew) + skew + skew @ skew) @ (_one(skew) + skew), x)


def _inverse_alone(x: Any, orthogonal_map: str, triangle: str, skew_scale: float) -> Any:
    skew = skew_scale * _skew(x, triangle)
    return _like(np.linalg.inv(_one(skew) - skew), x)


def _other_triangle(x: Any, orthogonal_map: str, triangle: str, skew_scale: float) -> Any:
    other = {LOWER: UPPER, UPPER: LOWER, WHOLE: LOWER}[triangle]
    return _orthogonal(x, orthogonal_map, other, skew_scale)


def _other_map(x: Any, orthogonal_map: str, triangle: str, skew_scale: float) -> Any:
    return _orthogonal(x, {CAYLEY: EXPONENTIAL, EXPONENTIAL: CAYLEY}[orthogonal_map], triangle, skew_scale)


_FORMS = tuple(product((LOWER, WHOLE, UPPER), (0.5, 1.0, -1.0, -0.5), (CAYLEY, EXPONENTIAL)))
"""What code may fix: the entries that it reads, the factor of the skew-symmetric matrix, the map."""

orthogonal_parametrization = DefinedNormalizer(
    name="orthogonal_parametrization",
    title="orthogonal weight by a map of a skew matrix",
    paper=Paper(
        "Lezcano-Casado, Martinez-Rubio",
        2019,
        "Cheap Orthogonal Constraints in Neural Networks: A Simple Parametrization of the Orthogonal and Unitary Group",
        "https://arxiv.org/abs/1901.08428",
        "section 3",
    ),
    formula="w = the first columns of (I - S)^-1 (I + S), or of exp(2 S), S = (L - L^T) / 2, L the lower triangle of "
    "v, a wide v transposed",
    layout="rows",
    ranks=(2,),
    units=(6, 5, 11, 33),
    forward=_orthogonal,
    options={
        "orthogonal_map": tuple(name for _, _, name in _FORMS),
        "triangle": tuple(part for part, _, _ in _FORMS),
        "skew_scale": tuple(scale for _, scale, _ in _FORMS),
    },
    conventions=frozenset({"orthogonal_map", "triangle", "skew_scale"}),
    derived=row("no  no  no  no  no  no"),
    note="As torch.nn.utils.parametrizations.orthogonal has it without a trivialization, with orthogonal_map 'cayley' "
    "or 'matrix_exp': columns are orthonormal, or rows if there are more inputs than units. Public code also has "
    "another factor than 1/2 or its opposite, (I + A)^-1 (I - A), the upper triangle, or all entries of v: what it "
    "does not take as an option is measured. Householder vectors and the iterations of Bjorck and Newton are other "
    "functions. torch.matrix_exp of one small matrix had a wrong coefficient (pytorch#196592), which is found.",
    slips=(
        Slip("orthogonal-not-skew", "Adds the transpose, for the difference.", _not_skew),
        Slip("orthogonal-series", "Takes three terms of the series for the inverse, or for the exponential.", _series),
        Slip("orthogonal-inverse-alone", "Does not multiply by I + S.", _inverse_alone),
        Slip(
            "orthogonal-transposed",
            "Returns columns of the transposed square matrix, its inverse.",
            lambda x, skew_scale, **rest: _orthogonal(x, skew_scale=-skew_scale, **rest),
        ),
        Slip("orthogonal-other-triangle", "Reads the entries on the other side of the diagonal.", _other_triangle),
        Slip("orthogonal-other-map", "Takes the exponential for the Cayley map, and that for it.", _other_map),
    ),
)

ENTRIES = (orthogonal_parametrization,)
