"""Which entries of a layer's state are running statistics: those that follow the mean or the variance of a batch.

Libraries name and nest their state as they like, so it is measured: a new layer gets one batch whose units have means
and variances of their own, and what changes along with them is a running mean or a running variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array

MANY = 2**20
"""Batches that a layer is said to have seen: a statistic is then no longer corrected for its start at zero."""

FOLLOWS = 0.999
"""The least correlation of the changes of an entry with a statistic of the batch that it follows."""

SIZES = (5, 7, 11, 3, 13, 17, 19)
"""Sizes of the axes of an input that are told apart by their size."""

STATISTICS = ("running_mean", "running_var")


def probe(shape: tuple[int, ...]) -> Array:
    """A batch of that shape; each index of each axis has a mean and a spread of its own."""
    random = np.random.default_rng(11)
    x = random.standard_normal(shape)
    for axis, size in enumerate(shape[1:], start=1):
        along = [1] * len(shape)
        along[axis] = size
        x *= random.uniform(0.5, 2.0, size).reshape(along)
        x += random.uniform(-3.0, 3.0, size).reshape(along)
    return x


def apart(*others: int) -> tuple[int, ...]:
    """Sizes that differ from each other and from the given ones."""
    return tuple(size for size in SIZES if size not in others)


def measured(before: Mapping[str, Any], after: Mapping[str, Any], x: Array) -> dict[str, str]:
    """The entries of a state, by path, that are running statistics, with their roles; x: the batch between the two."""
    out = {}
    for path, old in before.items():
        first, last = (np.asarray(one, np.float64).ravel() for one in (old, after[path]))
        axes = [axis for axis in range(1, x.ndim) if x.shape[axis] == last.size]
        if last.size < 3 or not axes:
            continue
        others = tuple(axis for axis in range(x.ndim) if axis != axes[0])
        for role, seen in zip(STATISTICS, (x.mean(others), x.var(others)), strict=True):
            if any(_follows(values, seen) for values in (last, last - first)):
                out[path] = role
    return out


def _follows(values: Array, seen: Array) -> bool:
    """Whether values are a linear function of a statistic, and not all the same."""
    if not np.isfinite(values).all() or np.ptp(values) == 0.0:
        return False
    return abs(float(np.corrcoef(values, seen)[0, 1])) > FOLLOWS


@dataclass(frozen=True, slots=True)
class StateRoles:
    """What is known of a state: its running statistics by path, and the flags that a first batch sets."""

    statistics: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    counts: tuple[str, ...] = ()  # of batches

    def path(self, role: str) -> str:
        """The path of a statistic; empty if there is none. Of several, as a sum and its corrected mean, the last."""
        return next((path for path, one in reversed(list(self.statistics.items())) if one == role), "")

    def values(self, state: Mapping[str, Any], given: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The entries of a layer that has seen many batches, with the statistics of a case, by path.

        A count of batches is large, so that no statistic is corrected for its start at zero any more. Raises
        `CallError` for a statistic of another size.
        """
        out: dict[str, Any] = {}
        for path, old in state.items():
            value = given.get(self.statistics.get(path, ""))
            if value is not None:
                out[path] = fitted(value, old, name)
            elif path in self.flags:
                out[path] = jnp.full(old.shape, self.flags[path])
            elif path in self.counts:
                out[path] = jnp.full(old.shape, MANY, old.dtype)
        return out


def fitted(value: Any, own: Any, name: str) -> Any:
    """A value of a case in the shape of a layer's own one. Raises `CallError` if it has another size."""
    if own.size != value.size:
        raise CallError(f"{name} has a parameter of shape {own.shape} where {value.size} numbers are needed")
    return value.reshape(own.shape)


def roles(before: Mapping[str, Any], after: Mapping[str, Any], x: Array) -> StateRoles:
    """What a training batch shows of a state; x: the batch between before and after."""
    flags = {path: bool(after[path]) for path, one in before.items() if one.dtype == bool and not one.ndim}
    counts = tuple(path for path, one in before.items() if _is_count(one) and int(after[path]) == int(one) + 1)
    return StateRoles(measured(before, after, x), flags, counts)


def _is_count(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.integer)) and not value.ndim


COUNTED = {"count of batches": "its statistics are taken as those of a layer that has seen many batches"}
"""The note of a layer that keeps a count by which it corrects its statistics for their start."""

NEVER_LEFT = {"momentum 1": "its correction for the start of its statistics divides by 1 - momentum ** count"}
"""The momentum with which such a layer is not called: the weight of the old statistics is below 1 there."""
