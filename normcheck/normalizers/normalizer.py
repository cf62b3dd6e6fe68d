"""What defines a normalizer, and how its input falls into sets of entries that share a statistic.

A normalizer is a choice, not an algorithm: which entries of the input share a statistic, whether the mean is
subtracted, what the squares are divided by. Everything else follows from the choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.spec import Paper, Printed

AXES = ("case", "group", "unit", "space")
"""The four axes to which every input is reshaped: training case, group of units, unit in its group, position."""


@dataclass(frozen=True)
class Partition:
    """How the entries of an input of one shape fall into sets; the entries of a set share a statistic.

    `gather` turns an array of the input's shape into (sets, members), `scatter` is its inverse.
    """

    shape: tuple[int, ...]  # of the input
    seen: tuple[int, ...]  # the shape along `AXES`
    rows: bool  # whether axis `dim` holds the units, as in a weight, and must be moved to the front
    dim: int
    members: tuple[int, ...]  # positions in AXES of the axes whose entries share a statistic
    parameter: tuple[int, ...]  # shape of the weight
    spread_shape: tuple[int, ...]  # the weight's shape as it broadcasts against the input

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The axes with those of the members last."""
        return tuple(a for a in range(4) if a not in self.members) + self.members

    @cached_property
    def _back(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shape of a gathered array before its axes were merged, and the order that puts the axes back."""
        return tuple(self.seen[a] for a in self.order), tuple(self.order.index(a) for a in range(4))

    @cached_property
    def n(self) -> int:
        """Number of members of a set."""
        return math.prod(self.seen[a] for a in self.members)

    @cached_property
    def sets(self) -> int:
        """Number of sets."""
        return math.prod(self.seen[a] for a in range(4) if a not in self.members)

    def canonical(self, x: Array) -> Array:
        """An array of the input's shape as one along `AXES`."""
        return (np.moveaxis(x, self.dim, 0) if self.rows else x).reshape(self.seen)

    def gather(self, x: Array) -> Array:
        """An array of the input's shape as one of shape (sets, members)."""
        return self.canonical(x).transpose(self.order).reshape(self.sets, self.n)

    def scatter(self, flat: Array) -> Array:
        """The inverse of `gather`."""
        seen, back = self._back
        return self.restore(flat.reshape(seen).transpose(back))

    def restore(self, seen: Array) -> Array:
        """The inverse of `canonical`."""
        if not self.rows:
            return seen.reshape(self.shape)
        others = self.shape[: self.dim] + self.shape[self.dim + 1 :]
        return np.moveaxis(seen.reshape(self.shape[self.dim], *others), 0, self.dim)

    def per_set(self, statistic: Array) -> Array:
        """A statistic of shape (sets,) or (sets, 1), repeated to the input's shape."""
        seen, back = self._back
        kept = tuple(1 if a in self.members else self.seen[a] for a in self.order)
        full = np.broadcast_to(statistic.reshape(kept), seen)
        return self.restore(full.transpose(back))

    def spread(self, parameter: Array) -> Array:
        """The weight or bias, reshaped so that it broadcasts against the input."""
        return parameter.reshape(self.spread_shape)

    def collect(self, full: Array) -> Array:
        """Sum over all entries that one parameter multiplies, of the weight's shape: the adjoint of `spread`."""
        extra = len(full.shape) - len(self.spread_shape)
        axes = tuple(range(extra)) + tuple(
            extra + i for i, size in enumerate(self.spread_shape) if size == 1 and full.shape[extra + i] != 1
        )
        out: Array = full.sum(axis=axes).reshape(self.parameter)
        return out


@dataclass(frozen=True, slots=True)
class Sets:
    """Which entries share a statistic, for inputs of any shape.

    layout: the meaning of the input's axes. "channels": (cases, channels, *space); "trailing":
    (*cases, *normalized_shape); "rows": a weight, with one vector for each index of its axis `dim`.
    members: names from `AXES` of the axes along which entries share a statistic.
    """

    layout: str
    members: frozenset[str]

    def over(self, shape: tuple[int, ...], *, groups: int = 1, normalized: int = 1, dim: int | None = 0) -> Partition:
        """The sets of an input of this shape. normalized: number of trailing axes; dim None: all is one vector."""
        return _partition(self, shape, groups, normalized, dim)


@lru_cache(maxsize=4096)
def _partition(sets: Sets, shape: tuple[int, ...], groups: int, normalized: int, dim: int | None) -> Partition:
    rank, axis = len(shape), 0
    parameter: tuple[int, ...] = ()
    spread: tuple[int, ...] = ()
    if sets.layout == "channels":
        seen = (shape[0], groups, shape[1] // groups, math.prod(shape[2:]))
        parameter, spread = (shape[1],), (shape[1],) + (1,) * (rank - 2)
    elif sets.layout == "trailing":
        parameter = spread = shape[rank - normalized :]
        seen = (math.prod(shape[: rank - normalized]), 1, math.prod(parameter), 1)
    elif dim is None:
        seen = (1, 1, 1, math.prod(shape))
        spread = (1,) * rank
    else:
        axis = dim % rank
        seen = (1, 1, shape[axis], math.prod(shape) // max(shape[axis], 1))
        parameter = spread = tuple(size if a == axis else 1 for a, size in enumerate(shape))
    members = tuple(a for a, name in enumerate(AXES) if name in sets.members)
    return Partition(shape, seen, sets.layout == "rows" and dim is not None, axis, members, parameter, spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """An entry of the catalog: what a normalizer computes, its paper, and what its implementations take."""

    name: str
    title: str
    paper: Paper
    formula: str
    sets: Sets
    centered: bool  # subtracts the mean
    acts_on: str = "activation"  # or "weight"
    mean_square: bool = True  # squares are averaged; False: summed (weight norm)
    scaled: bool = True  # divides by their root; False: the mean is subtracted, and that is all
    partial: bool = False  # the statistic is taken over the first entries only
    weight: bool = True  # has a multiplicative parameter
    bias: bool = True  # has an additive parameter
    state: bool = False  # keeps running statistics for evaluation
    spatial: bool = False  # Table 1 is measured on maps (cases, channels, *space), not on vectors
    eps: float | None = 1e-5  # default of torch's function; None: the formula has no eps
    printed: tuple[Printed, ...] = ()
    accepts_empty: bool = True  # whether torch's own function accepts an input without sets
    narrow_accuracy: tuple[str, str] = ("sound", "sound")  # accuracy class in narrow formats: forward, backward
    arguments: tuple[str, ...] = ()  # roles of torch's function, in its order
    note: str = ""
    tags: frozenset[str] = field(default_factory=frozenset)

    def __hash__(self) -> int:
        """That of the name: entries are keys of what is computed once, thousands of times in a run."""
        return hash(self.name)

    @property
    def independent(self) -> bool:
        """Whether each case has statistics of its own."""
        return self.acts_on == "activation" and "case" not in self.sets.members

    @property
    def treats_units_alike(self) -> bool:
        """Whether units of a case in another order, with their parameters, give outputs in that order."""
        return (
            self.independent
            and not self.partial
            and (self.sets.layout == "trailing" or "unit" not in self.sets.members)
        )

    @property
    def kept(self) -> tuple[str, ...]:
        """Running statistics that implementations keep. Without a scale there is no variance to keep."""
        return ("running_mean", "running_var") if self.scaled else ("running_mean",)
