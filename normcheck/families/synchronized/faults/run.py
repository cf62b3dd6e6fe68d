"""The reference as code that runs in several processes, simulated in one: local sums, their merging, and what follows.

A list has one item for each rank of a group; the first axis of an array named `by rank` is that of the ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array, Format
from normcheck.families.synchronized.case import SEQUENCE, Group, RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.normalizers.normalizer import Partition
from normcheck.normalizers.reference.oracle import contract_steps


@dataclass(frozen=True, slots=True, eq=False)
class LocalStatistics:
    """What each process knows of its own shard, by rank: counts (k,), means and variances (k, sets)."""

    shards: list[Array]  # (sets, members of the rank)
    counts: Array
    means: Array
    variances: Array  # around the mean of the shard; around 0 where no mean is subtracted
    format: Format
    eps: float


@dataclass(frozen=True, slots=True, eq=False)
class SharedStatistics:
    """What each process takes for the statistics of all, by rank: counts (k,), means and variances (k, sets)."""

    counts: Array
    means: Array
    variances: Array


def weighted(local: LocalStatistics, counts: Array) -> SharedStatistics:
    """Statistics of the joined shards with these counts: the variance within shards, and that between them."""
    k, total = len(counts), max(counts.sum(), 1.0)
    share = (counts / total)[:, None]
    mean = (share * local.means).sum(0)
    variance = (share * (local.variances + np.square(local.means - mean))).sum(0)
    return on_every_rank(total, mean, variance, k)


def on_every_rank(count: float, mean: Array, variance: Array, k: int) -> SharedStatistics:
    """The same statistics on k ranks."""
    return SharedStatistics(np.full(k, float(count)), np.tile(mean, (k, 1)), np.tile(variance, (k, 1)))


def merged(local: LocalStatistics) -> SharedStatistics:
    """The statistics of the joined shards."""
    return weighted(local, local.counts)


@dataclass(frozen=True, slots=True, eq=False)
class LocalSums:
    """What each process sums in the backward pass, by rank (k, sets): g, g xh and xh, g the cotangent of xh."""

    counts: Array  # (k,), of the shards
    g: Array
    gx: Array
    x: Array
    shared: SharedStatistics
    eps: float

    @property
    def total(self) -> Array:
        """The count of all ranks, (k, 1), at least 1."""
        return np.asarray(np.maximum(self.shared.counts, 1.0)[:, None])

    @property
    def own(self) -> Array:
        """The count of each shard, (k, 1), at least 1."""
        return np.asarray(np.maximum(self.counts, 1.0)[:, None])


def over_all(sums: Array) -> Array:
    """The sum over ranks, on each of them."""
    return np.tile(sums.sum(0), (len(sums), 1))


def summed(local: LocalSums) -> tuple[Array, Array]:
    """The means of g and of g xh over the joined shards, by rank: (k, sets) each."""
    return over_all(local.g) / local.total, over_all(local.gx) / local.total


def as_normalized(local: LocalStatistics, shared: SharedStatistics) -> SharedStatistics:
    """The statistics that move the running ones are those that normalize."""
    return shared


def bessel(local: LocalStatistics, shared: SharedStatistics) -> Array:
    """n / (n - 1) with the count of all ranks, by rank: (k,)."""
    return np.asarray(shared.counts / np.maximum(shared.counts - 1.0, 1.0))


def own_parameters(entry: Synchronized, local: list[Array]) -> list[Array]:
    """Gradients of a parameter where every process has all of the input: each has that of the joined input."""
    return local


def unchanged(running: list[Array]) -> list[Array]:
    """Running statistics of every rank as they were computed."""
    return running


def one_time(momentum: float, k: int) -> float:
    """The weight of a batch: running statistics are moved once."""
    return momentum


def own_group(case: RanksCase) -> RanksCase:
    """The groups as they are."""
    return case


def unwrapped(case: RanksCase) -> RanksCase:
    """The case as it is: a wrapper changes nothing."""
    return case


def averaged(local: list[Array]) -> list[Array]:
    """The gradient that a wrapper makes of those of all ranks: their mean, on each."""
    return [sum(local, np.zeros_like(local[0])) / len(local)] * len(local)


def right_parameters(entry: Synchronized, local: list[Array]) -> list[Array]:
    """Gradients of a parameter by rank, from those of the shards: summed where the layer must do so."""
    return [sum(local, np.zeros_like(local[0]))] * len(local) if entry.reduces_parameters else local


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSteps:
    """The steps of the processes of a group; a fault replaces some of them."""

    merge: Callable[[LocalStatistics], SharedStatistics] = merged
    pull: Callable[[LocalSums], tuple[Array, Array]] = summed  # what the backward subtracts: of 1, and of xh
    through: float = 1.0  # 0: no gradient passes through the statistics
    stored: Callable[[LocalStatistics, SharedStatistics], SharedStatistics] = as_normalized
    factor: Callable[[LocalStatistics, SharedStatistics], Array] = bessel
    weight: Callable[[float, int], float] = one_time  # of the batch in the running statistics
    copies: Callable[[list[Array]], list[Array]] = unchanged
    parameters: Callable[[Synchronized, list[Array]], list[Array]] = right_parameters
    copied: Callable[[LocalStatistics], SharedStatistics] | None = None  # `merge` of a replicated input; as of a shard
    copied_parameters: Callable[[Synchronized, list[Array]], list[Array]] = own_parameters  # of a replicated input
    sequence_parameters: Callable[[Synchronized, list[Array]], list[Array]] | None = None  # along axis 1; as along 0
    grouped: Callable[[RanksCase], RanksCase] = own_group
    evaluates: bool = True  # False: statistics of the batch are taken in evaluation too
    stale: bool = False  # the counts of the first call are kept
    wrapped: Callable[[RanksCase], RanksCase] = unwrapped  # what a layer below a wrapper computes with
    loaded: Callable[[RanksCase], RanksCase] = unwrapped  # what one computes with that has loaded a saved state
    wrapped_parameters: Callable[[Synchronized, list[Array]], list[Array]] | None = None  # below a wrapper; as alone


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    """The shard of one rank: arrays as (sets, members), and how they are put back."""

    part: Partition
    x: Array
    dy: Array  # of the shape of the shard
    g: Array  # (sets, members): cotangent of the normalized input
    gain: Array | float
    shift: Array | float


def _shards(entry: Synchronized, case: RanksCase, group: Group) -> list[_Shard]:
    out, given = [], list(case.shards())
    for rank in group:
        one = given[rank]
        part = entry.normalizer.sets.over(one.x.shape)
        gain = 1.0 if one.weight is None else part.spread(one.weight)
        shift = 0.0 if one.bias is None else part.spread(one.bias)
        out.append(_Shard(part, part.gather(one.x), one.dy, part.gather(one.dy * gain), gain, shift))
    return out


def local_statistics(entry: Synchronized, shards: list[Array], format: Format, eps: float) -> LocalStatistics:
    """The statistics of each shard; those of an empty one are 0."""
    counts = np.array([float(x.shape[1]) for x in shards])
    held = np.maximum(counts, 1.0)
    means = np.array([x.sum(1) for x in shards]) / held[:, None] * entry.normalizer.centered
    squares = np.array([np.square(x - mean[:, None]).sum(1) for x, mean in zip(shards, means, strict=True)])
    return LocalStatistics(shards, counts, means, squares / held[:, None], format, eps)


def _normalized(
    entry: Synchronized, shards: list[_Shard], steps: SharedSteps, case: RanksCase, counts: Array | None
) -> tuple[LocalStatistics, SharedStatistics]:
    """The statistics of shards whose processes share them. counts: those of an earlier call."""
    local = local_statistics(entry, [one.x for one in shards], case.joined.format, case.joined.eps)
    merge = steps.copied or steps.merge if case.replicated else steps.merge
    return local, merge(local if counts is None else replace(local, counts=counts))


def _of_group(
    entry: Synchronized, case: RanksCase, group: Group, steps: SharedSteps, contract: Contract, counts: Array | None
) -> list[RankAnswer]:
    """The answers of the ranks of one group."""
    shards, joined = _shards(entry, case, group), case.joined
    fixed = entry.state and not joined.training and steps.evaluates
    parties = [shards] if entry.divides_sets else [[one] for one in shards]  # that share statistics
    outputs: list[tuple[Array, Array, Array]] = []  # y, dx, xh by rank, of the shards' shapes
    means: Sequence[Array | None] = [joined.running_mean] * len(group)
    variances: Sequence[Array | None] = [joined.running_var] * len(group)
    for party in parties:
        local, shared = _normalized(entry, party, steps, case, counts)
        if fixed:
            assert joined.running_mean is not None
            assert joined.running_var is not None
            shared = on_every_rank(shared.counts[0], joined.running_mean, joined.running_var, len(party))
        outputs += _passes(entry, party, local, shared, steps, joined.eps, fixed=fixed)
        if entry.state and joined.training:
            means, variances = _moved(case, local, shared, steps, contract)
    weights = _parameters(entry, case, steps, [s.part.collect(s.dy * xh)
                                               for s, (*_, xh) in zip(shards, outputs, strict=True)])  # fmt: skip
    biases = _parameters(entry, case, steps, [s.part.collect(s.dy) for s in shards])
    return [
        RankAnswer(y, dx, None if joined.weight is None else dw, None if joined.bias is None else db, mean, var)
        for (y, dx, _), dw, db, mean, var in zip(outputs, weights, biases, means, variances, strict=True)
    ]


def _parameters(entry: Synchronized, case: RanksCase, steps: SharedSteps, local: list[Array]) -> list[Array]:
    """The gradient of a parameter on each rank, from those of the shards."""
    if case.replicated:
        return steps.copied_parameters(entry, local)
    if case.placement == SEQUENCE:
        return (steps.sequence_parameters or steps.parameters)(entry, local)
    if not case.wrapper:
        return steps.parameters(entry, local)
    return averaged((steps.wrapped_parameters or steps.parameters)(entry, local))


def _passes(
    entry: Synchronized, party: list[_Shard], local: LocalStatistics, shared: SharedStatistics, steps: SharedSteps,
    eps: float, *, fixed: bool,
) -> list[tuple[Array, Array, Array]]:  # fmt: skip
    """y, dx and xh of each rank."""
    with np.errstate(all="ignore"):
        scales = [np.sqrt(v + eps)[:, None] for v in shared.variances]
        xhs = [(one.x - m[:, None]) / s for one, m, s in zip(party, shared.means, scales, strict=True)]
        g, gx, x = (
            np.array([a.sum(1) for a in some])
            for some in ([one.g for one in party], [one.g * xh for one, xh in zip(party, xhs, strict=True)], xhs)
        )
        passes = 0.0 if fixed else steps.through
        level, tilt = (passes * one for one in steps.pull(LocalSums(local.counts, g, gx, x, shared, eps)))
        level = level * entry.normalizer.centered
        out = []
        for i, (one, xh, s) in enumerate(zip(party, xhs, scales, strict=True)):
            dx = (one.g - level[i][:, None] - xh * tilt[i][:, None]) / s
            full = one.part.scatter(xh)
            out.append((full * one.gain + one.shift, one.part.scatter(dx), full))
    return out


def _moved(
    case: RanksCase, local: LocalStatistics, shared: SharedStatistics, steps: SharedSteps, contract: Contract
) -> tuple[list[Array], list[Array]]:
    """Running mean and variance of each rank after a batch in training."""
    joined, k = case.joined, len(local.counts)
    mean, var = joined.running_mean, joined.running_var
    assert mean is not None
    assert var is not None
    stored, momentum = steps.stored(local, shared), steps.weight(joined.momentum, k)
    factor = steps.factor(local, stored) if contract.running_variance == "unbiased" else np.ones(k)
    blend = contract_steps(contract).blend
    with np.errstate(all="ignore"):
        means = [blend(mean, one, momentum) for one in stored.means]
        variances = [blend(var, one * f, momentum) for one, f in zip(stored.variances, factor, strict=True)]
    return _kept(steps, mean, means), _kept(steps, var, variances)


def _kept(steps: SharedSteps, before: Array, after: list[Array]) -> list[Array]:
    """Running statistics by rank, as the fault's step leaves them; NaN stands for what was not moved."""
    return [np.where(np.isnan(one), before, one) for one in steps.copies(after)]


def simulated(
    entry: Synchronized, case: RanksCase, steps: SharedSteps, contract: Contract, counts: Array | None = None
) -> tuple[RankAnswer, ...]:
    """The answers of all ranks. counts: those of an earlier call, taken instead of those of this one."""
    seen = steps.grouped(steps.wrapped(case) if case.wrapper else case)
    out: dict[int, RankAnswer] = {}
    for group in seen.groups:
        out |= dict(zip(group, _of_group(entry, seen, group, steps, contract, counts), strict=True))
    return tuple(out[rank] for rank in case.ranks)


def first_counts(entry: Synchronized, case: RanksCase) -> Array:
    """The counts of the ranks in a case of one group."""
    return np.array([float(one.part.n) for one in _shards(entry, case, case.groups[0])])
