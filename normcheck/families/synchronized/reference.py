"""The reference: k processes compute what one process computes on their joined input (`normalizers.reference`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.synchronized.case import Group, RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.normalizers.reference.oracle import Truth, evaluate


def truths(entry: Synchronized, case: RanksCase, contract: Contract) -> dict[Group, Truth]:
    """The reference's answer to the joined input of each group."""
    return {group: evaluate(entry.normalizer, case.of_group(group), contract) for group in case.groups}


def answers(entry: Synchronized, case: RanksCase, contract: Contract) -> tuple[RankAnswer, ...]:
    """What each process must return, by rank."""
    out: dict[int, RankAnswer] = {}
    for group, truth in truths(entry, case, contract).items():
        local = _parameter_gradients(entry, case, group, truth)
        for rank, span, (dweight, dbias) in zip(group, case.spans(group), local, strict=True):
            y, dx = case.part(truth.y, span), case.part(truth.dx, span)
            assert y is not None
            out[rank] = RankAnswer(y, dx, dweight, dbias, truth.running_mean, truth.running_var)
    return tuple(out[rank] for rank in case.ranks)


def local_sums(case: RanksCase, group: Group, truth: Truth, full: Array) -> list[Array]:
    """For each rank of a group, the part of a parameter's gradient that its shard gives, of the parameter's shape."""
    out = []
    for span in case.spans(group):
        inside = np.zeros(full.shape)
        part = case.part(inside, span)
        assert part is not None
        part[...] = 1.0
        out.append(truth.partition.collect(full * inside))
    return out


def _parameter_gradients(
    entry: Synchronized, case: RanksCase, group: Group, truth: Truth
) -> list[tuple[Array | None, Array | None]]:
    """dweight and dbias of each rank: local sums, a part of the joined ones, or the joined ones themselves."""
    dy = truth.case.dy
    assert dy is not None, "a case of several processes has a cotangent"
    whole = [(truth.dweight, truth.dbias)] * len(group)
    if entry.divides_parameters:
        return [(case.part(w, span), case.part(b, span))
                for (w, b), span in zip(whole, case.spans(group), strict=True)]  # fmt: skip
    if entry.reduces_parameters:
        return whole
    weights, biases = (local_sums(case, group, truth, full) for full in (dy * truth.xh, dy))
    return [
        (None if truth.dweight is None else w, None if truth.dbias is None else b)
        for w, b in zip(weights, biases, strict=True)
    ]


def continued(case: RanksCase, before: tuple[RankAnswer, ...]) -> RanksCase:
    """The case with the running statistics that a call before it has left on the first rank."""
    return case.but(running_mean=before[0].running_mean, running_var=before[0].running_var)


def rounded(answer: RankAnswer, case: RanksCase) -> RankAnswer:
    """An answer as the case's format can hold it."""
    arrays = {name: getattr(answer, name) for name in RankAnswer.__slots__}
    changes: dict[str, Any] = {
        name: case.joined.format.round(one) for name, one in arrays.items() if isinstance(one, np.ndarray)
    }
    return replace(answer, **changes)
