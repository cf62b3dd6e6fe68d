"""Faults of running statistics: of which batch they are, how often they move, and on which processes."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.synchronized.faults.base import STATE, SynchronizedFault, keeps
from normcheck.families.synchronized.faults.run import LocalStatistics, SharedStatistics, SharedSteps, bessel
from normcheck.families.synchronized.faults.statistics import own


def _first_alone(running: list[Array]) -> list[Array]:
    """Only the first rank has moved statistics: NaN stands for those of before."""
    return [one if rank == 0 else np.full_like(one, np.nan) for rank, one in enumerate(running)]


def _of_own_count(local: LocalStatistics, shared: SharedStatistics) -> Array:
    return np.asarray(local.counts / np.maximum(local.counts - 1.0, 1.0))


ALL = (
    SynchronizedFault(
        name="sync-running-local",
        story="Moves the running statistics by the shard of each process, which then differ.",
        steps=SharedSteps(stored=lambda local, shared: own(local)),
        source="construction: running statistics that are updated before statistics are shared",
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-momentum-repeated",
        story="Moves the running statistics once for each process.",
        steps=SharedSteps(weight=lambda momentum, k: 1.0 - (1.0 - momentum) ** k),
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-momentum-multiplied",
        story="Multiplies the momentum by the number of processes.",
        steps=SharedSteps(weight=lambda momentum, k: momentum * k),
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-running-on-first-rank",
        story="Moves the running statistics on the first process only.",
        steps=SharedSteps(copies=_first_alone),
        source="construction: an update behind `if rank == 0`, without a broadcast",
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-running-unbiased-by-local-count",
        story="Makes the running variance unbiased with the count of the own shard.",
        steps=SharedSteps(factor=_of_own_count),
        source="pytorch/pytorch#22192",
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-running-biased",
        story="Stores the biased variance, where torch stores the unbiased one.",
        steps=SharedSteps(factor=lambda local, shared: np.ones_like(bessel(local, shared))),
        damages=STATE,
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-running-never",
        story="Never moves the running statistics.",
        steps=SharedSteps(weight=lambda momentum, k: 0.0),
        damages=STATE,
        concerns=keeps,
    ),
)
