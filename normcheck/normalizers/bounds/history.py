"""Bounds of running statistics over several updates and moves of one layer."""

from __future__ import annotations

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array, Format

ROUNDINGS = 8.0
"""Roundings of a statistic that is kept in a narrow format: its sum, its squares, and the update."""


def kept_in(format: Format, *statistics: Array | None) -> float:
    """The largest change of running statistics that are computed in a narrow format, as the class half does."""
    sizes = [float(np.abs(one).max(initial=0.0)) for one in statistics if one is not None]
    return ROUNDINGS * format.u * max(sizes, default=0.0)


def updates(one: Array, count: int) -> Array:
    """Bound after several updates on the same batch: each adds at most the bound of one."""
    return count * one


def updated(lost: Array, one: Array, momentum: float, contract: Contract) -> Array:
    """Bound after one more update: the share of the old statistic in the new one carries its error over.

    lost: bound of the old statistic; one: bound of the update itself.
    """
    kept = 1.0 - momentum if contract.momentum == "new" else momentum
    return kept * lost + one


def moved(lost: Array, value: Array, old: Format, new: Format) -> Array:
    """Bound after statistics were rounded to another format, from the bound before.

    One rounding in the wider of the roundoffs is u |value|; a layer that is moved rounds once, and the reference once
    more as the case's parameters are: 2 u, and the floor below the normal range.
    """
    return np.asarray(lost + 2.0 * max(new.u, old.u) * np.abs(value) + new.floor)
