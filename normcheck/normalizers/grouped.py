"""The form groups: the last axis falls into groups, as the heads of attention, and each is normalized by itself.

Rows of a plain case are put side by side as the groups of fewer, wider rows, in the same order. Code with a weight for
the whole width gets that of the plain case for each group, times a power of two of the group's own, which is divided
out of the output: no bit changes, and the weight of another group shows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

GROUPS = 2
"""The number of groups of a row."""


def _factors(size: int, *, own: bool) -> Array:
    """The factor of each entry of a wide row by its group; 1 if groups have no weights of their own."""
    return np.repeat(np.exp2(np.arange(GROUPS) if own else np.zeros(GROUPS)), size)


def _wide(array: Array, case: Case, factors: Array) -> Array:
    """An array of the case's shape in wide rows, divided by the factors; the last one is filled up with zeros."""
    size = case.x.shape[-1]
    rows = array.reshape(-1, size)
    rows = np.concatenate((rows, np.zeros((-len(rows) % GROUPS, size))))
    wide = rows.reshape(-1, GROUPS * size) / factors
    return wide.reshape((1,) * (case.x.ndim - 2) + wide.shape) if case.x.ndim > 1 else wide.reshape(-1)


def grouped(case: Case, *, full: bool, own: bool) -> Case:
    """A plain case as one of wide rows.

    full: its weight is as wide as a row. own: each group has its own. Raises `CallError` if more axes than the last
    are normalized, or a row has no entries.
    """
    size = case.x.shape[-1] if case.x.ndim else 0
    if case.normalized != 1 or case.units_first or not size:
        raise CallError("groups are those of the last axis", "groups are those of the last axis")
    factors, plain = _factors(size, own=full and own), np.ones(GROUPS * size)
    arrays = {"x": _wide(case.x, case, plain)}
    for name in ("dy", "tangent"):
        if (value := getattr(case, name)) is not None:
            arrays[name] = _wide(value, case, factors if name == "dy" else plain)
    for name in ("weight", "bias"):
        if full and (value := getattr(case, name)) is not None:
            arrays[name] = np.tile(value, GROUPS) * factors
    return case.but(**arrays, layouts={})


def plain_answer(answer: Answer, case: Case, *, full: bool, own: bool) -> Answer:
    """What the plain normalizer would have returned for a case, from what was returned for the grouped one."""
    size = case.x.shape[-1]
    factors = _factors(size, own=full and own)
    found: dict[str, Array] = {}
    for name in ("y", "dx", "jv", "ddx"):
        value = getattr(answer, name)
        if value is None or value.shape[-1:] != (GROUPS * size,):
            continue
        rows = (value.reshape(-1, GROUPS * size) / (factors if name in ("y", "jv") else 1.0)).reshape(-1, size)
        found[name] = rows[: case.x.size // size].reshape(case.x.shape)
    for name in ("dweight", "dbias"):
        value = getattr(answer, name)
        if full and value is not None:
            found[name] = (value * factors).reshape(GROUPS, size).sum(axis=0)
    return replace(answer, **found)  # type: ignore[arg-type]  # arrays, by the names above
