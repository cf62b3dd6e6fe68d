"""The columns of Table 1 as transforms of weights and data, and which of them leave a normalizer's output unchanged.

Ba, Kiros, Hinton 2016, Table 1 and section 5.1. A column scales or shifts the summed inputs a = x W^T of each set;
eps must follow the square of the scale. Whether an invariance holds is derived from the sets of entries that share a
statistic: a scale must be the same within each set; a shift must be constant within it, and the mean subtracted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.spec import COLUMN_NAMES, OF_BATCH, REPARAMETRIZES, Row
from normcheck.normalizers.case import Linear, Move
from normcheck.normalizers.normalizer import Normalizer


@dataclass(frozen=True, slots=True)
class Column:
    """One transform of a network or its data.

    varies: the axes of the summed inputs along which the scale or shift differs; weight_varies: the same for a weight
    matrix, whose axes are unit and space (its inputs), or None if the weights stay as they are.
    """

    name: str
    title: str
    law: str
    kind: str  # "scale" or "shift"
    varies: frozenset[str]
    weight_varies: frozenset[str] | None
    apply: Callable[[Linear, Move], Linear]
    factor: Callable[[Linear, Move], Array] | None = None  # of a scale: broadcasts over (cases, units, space)


def summed(linear: Linear) -> Array:
    """Summed inputs a = x W^T, shape (cases, units, space)."""
    out: Array = np.einsum("nsd,md->nms", linear.data, linear.weights)
    return out


def _direction(move: Move) -> Array:
    return np.asarray(move.direction)


def _one_row(linear: Linear, move: Move) -> Linear:
    weights = linear.weights.copy()
    weights[move.unit] *= move.delta
    return replace(linear, weights=weights)


def _one_case(linear: Linear, move: Move) -> Linear:
    data = linear.data.copy()
    data[move.case] *= move.delta
    return replace(linear, data=data)


def _everywhere(linear: Linear, move: Move) -> Array:
    return np.full((1, 1, 1), move.delta)


def _unit_factor(linear: Linear, move: Move) -> Array:
    out = np.ones((1, len(linear.weights), 1))
    out[0, move.unit] = move.delta
    return out


def _case_factor(linear: Linear, move: Move) -> Array:
    out = np.ones((len(linear.data), 1, 1))
    out[move.case] = move.delta
    return out


_NONE: frozenset[str] = frozenset()

COLUMNS = (
    Column(
        "weight_matrix_rescaling", "weight matrix re-scaling", "y(dW, x; d^2 eps) = y(W, x; eps)", "scale",
        _NONE, _NONE,
        lambda linear, move: replace(linear, weights=linear.weights * move.delta), _everywhere,
    ),
    Column(
        "weight_matrix_recentering", "weight matrix re-centering", "y(W + 1 g^T, x; eps) = y(W, x; eps)", "shift",
        frozenset({"case", "space"}), frozenset({"space"}),
        lambda linear, move: replace(linear, weights=linear.weights + _direction(move)),
    ),
    Column(
        "weight_vector_rescaling", "weight vector re-scaling",
        "y(w_i -> d w_i, x; d^2 eps for that unit) = y(W, x; eps)", "scale",
        frozenset({"group", "unit"}), frozenset({"unit"}), _one_row, _unit_factor,
    ),
    Column(
        "dataset_rescaling", "dataset re-scaling", "y(W, dx; d^2 eps) = y(W, x; eps)", "scale",
        _NONE, None,
        lambda linear, move: replace(linear, data=linear.data * move.delta), _everywhere,
    ),
    Column(
        "dataset_recentering", "dataset re-centering", "y(W, x_n + g for all n; eps) = y(W, x; eps)", "shift",
        frozenset({"group", "unit"}), None,
        lambda linear, move: replace(linear, data=linear.data + _direction(move)),
    ),
    Column(
        "case_rescaling", "single training case re-scaling",
        "y(W, x_n -> d x_n; d^2 eps for that case) = y(W, x; eps)", "scale",
        frozenset({"case"}), None, _one_case, _case_factor,
    ),
)  # fmt: skip

assert tuple(column.name for column in COLUMNS) == COLUMN_NAMES


def holds(normalizer: Normalizer, column: Column, *, spatial: bool) -> bool:
    """Whether a normalizer's output is invariant under a column; spatial: on maps (cases, channels, *space).

    >>> from normcheck.normalizers.catalog import layer_norm
    >>> holds(layer_norm, COLUMNS[1], spatial=False)
    True
    """
    if normalizer.acts_on == "weight":
        if column.weight_varies is None:
            return False
        varies = column.weight_varies
    else:
        varies = column.varies if spatial else column.varies - {"space"}
    same_in_set = not varies & normalizer.sets.members
    return same_in_set and (normalizer.scaled if column.kind == "scale" else normalizer.centered)


def derived_row(normalizer: Normalizer, *, spatial: bool | None = None) -> Row:
    """The row of Table 1, derived. spatial: on maps rather than on vectors; None: as the entry says."""
    maps = normalizer.spatial if spatial is None else spatial
    return Row(tuple(holds(normalizer, column, spatial=maps) for column in COLUMNS))


def extended(normalizer: Normalizer, *, evaluation: bool = False) -> dict[str, bool]:
    """The columns beyond Table 1, derived.

    A normalizer of weights is a reparametrization (Salimans, Kingma 2016, section 2); in evaluation so is one that
    keeps running statistics, which are constants there. The output for a training case is independent of the other
    cases unless a statistic is computed from several of them.

    >>> from normcheck.normalizers.catalog import layer_norm
    >>> extended(layer_norm)
    {'reparametrization': False, 'independence_of_batch': True}
    """
    constant = normalizer.acts_on == "weight" or (evaluation and normalizer.state)
    return {REPARAMETRIZES: constant, OF_BATCH: constant or "case" not in normalizer.sets.members}
