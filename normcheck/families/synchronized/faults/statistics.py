"""Faults of the forward pass: how the statistics of shards become those of all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.synchronized.case import RanksCase
from normcheck.families.synchronized.faults.backward import own_means
from normcheck.families.synchronized.faults.base import SynchronizedFault, centers, keeps, shares
from normcheck.families.synchronized.faults.run import (
    LocalStatistics,
    LocalSums,
    SharedStatistics,
    SharedSteps,
    bessel,
    merged,
    on_every_rank,
    over_all,
    summed,
    weighted,
)


def own(local: LocalStatistics) -> SharedStatistics:
    """Each rank has the statistics of its own shard."""
    return SharedStatistics(local.counts, local.means, local.variances)


def _within_only(local: LocalStatistics) -> SharedStatistics:
    """The mean of the variances: what lies between the means of shards is left out."""
    right = merged(local)
    share = (local.counts / max(local.counts.sum(), 1.0))[:, None]
    return replace(right, variances=np.tile((share * local.variances).sum(0), (len(local.counts), 1)))


def _local_count(local: LocalStatistics) -> SharedStatistics:
    """The sums of all ranks are divided by the rank's own count times the number of ranks."""
    return _divided(local, local.counts * len(local.counts))


def _own_count(local: LocalStatistics) -> SharedStatistics:
    """The sums of all ranks are divided by the rank's own count."""
    return _divided(local, local.counts)


def _divided(local: LocalStatistics, counts: Array) -> SharedStatistics:
    """The sums of all ranks, divided by a count of each rank."""
    k, divisor = len(counts), np.maximum(counts, 1.0)[:, None]
    means = np.tile((local.counts[:, None] * local.means).sum(0), (k, 1)) / divisor
    between = local.variances + np.square(local.means[:, :] - means[:, None, :])  # (k, k, sets)
    variances = (local.counts[None, :, None] * between).sum(1) / divisor
    return SharedStatistics(counts, means, variances)


def _unweighted(local: LocalStatistics) -> SharedStatistics:
    """Every shard counts as much as any other, whatever its size."""
    equal = weighted(local, np.ones_like(local.counts))
    return replace(equal, counts=np.full_like(local.counts, local.counts.sum()))


def _one_pass(local: LocalStatistics) -> SharedStatistics:
    """E[x^2] - E[x]^2 from sums over all ranks, in the format that statistics are computed in."""
    number = np.dtype(local.format.wide.name)
    x = np.concatenate(local.shards, axis=1).astype(number)
    n = number.type(max(x.shape[1], 1))
    mean = x.sum(1) / n
    variance = np.maximum(np.square(x).sum(1) / n - np.square(mean), number.type(0.0))
    return on_every_rank(local.counts.sum(), mean.astype(float), variance.astype(float), len(local.counts))


def _narrow_counts(local: LocalStatistics) -> SharedStatistics:
    """Counts and their total in the format of the input; a total that overflows makes every share 0."""
    counts = local.format.round(local.counts)
    total = float(local.format.round(np.asarray(counts.sum())))
    if np.isfinite(total):
        return weighted(local, counts)
    nothing = np.zeros(local.means.shape[1])
    return on_every_rank(local.counts.sum(), nothing, nothing, len(counts))


def _empty_as_one(local: LocalStatistics) -> SharedStatistics:
    """An empty shard counts as one case of zeros."""
    return weighted(local, np.maximum(local.counts, 1.0))


def _empty_is_nan(local: LocalStatistics) -> SharedStatistics:
    """The mean of no numbers is NaN, and 0 times NaN too."""
    right = merged(local)
    return right if local.counts.all() else replace(right, means=np.full_like(right.means, np.nan))


def _inverse_averaged(local: LocalStatistics) -> SharedStatistics:
    """The reciprocal roots of the shards are averaged, not their variances."""
    right = merged(local)
    share = (local.counts / max(local.counts.sum(), 1.0))[:, None]
    inverse = (share / np.sqrt(local.variances + local.eps)).sum(0)
    return replace(right, variances=np.tile(inverse**-2.0 - local.eps, (len(local.counts), 1)))


def _eps_twice(local: LocalStatistics) -> SharedStatistics:
    """Each rank adds eps to what it sends, and again to what it receives."""
    right = merged(local)
    return replace(right, variances=right.variances + local.eps)


def _eps_outside(local: LocalStatistics) -> SharedStatistics:
    """The variance that makes sqrt(variance + eps) the deviation plus eps."""
    right = merged(local)
    return replace(right, variances=np.square(np.sqrt(right.variances) + local.eps) - local.eps)


def _through_deviation(local: LocalSums) -> tuple[Array, Array]:
    """The gradient through the deviation where eps is added to that."""
    level, slope = summed(local)
    scale = np.sqrt(local.shared.variances + local.eps)
    return level, slope * scale / (scale - local.eps)


def _unbiased(local: LocalStatistics) -> SharedStatistics:
    """The sum of squared deviations of all ranks, divided by their count less 1."""
    right = merged(local)
    return replace(right, variances=right.variances * bessel(local, right)[:, None])


def _through_unbiased(local: LocalSums) -> tuple[Array, Array]:
    level, _ = summed(local)
    return level, over_all(local.gx) / np.maximum(local.total - 1.0, 1.0)


def _right(local: LocalStatistics, shared: SharedStatistics) -> SharedStatistics:
    """The running statistics are moved by the statistics of all."""
    return merged(local)


def _own_mean(local: LocalStatistics) -> SharedStatistics:
    """The mean of the own shard, and the variance that all shards have around theirs."""
    return replace(_within_only(local), means=local.means)


def _of_first(local: LocalStatistics) -> SharedStatistics:
    """Every rank has the statistics of the first shard."""
    return on_every_rank(float(local.counts[0]), local.means[0], local.variances[0], len(local.counts))


def _joined(case: RanksCase) -> RanksCase:
    """All ranks as one group."""
    return replace(case, groups=(tuple(case.ranks),))


ALL = (
    SynchronizedFault(
        name="sync-local-statistics",
        story="Shares nothing: each process normalizes its shard by the statistics of that shard.",
        steps=SharedSteps(merge=own, pull=own_means),
        source="torch.nn.BatchNorm2d below DistributedDataParallel",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-mean-of-variances",
        story="Averages the variances of shards: what lies between their means is left out.",
        steps=SharedSteps(merge=_within_only),
        source="construction: Chan, Golub, LeVeque 1983, eq. 2.1, without its second term",
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-local-count",
        story="Divides the sums of all processes by the local count times the number of processes.",
        steps=SharedSteps(merge=_local_count),
        source="pytorch/pytorch#22192, NVIDIA/apex#387",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-own-count",
        story="Divides the sums of all processes by the local count.",
        steps=SharedSteps(merge=_own_count),
        source="construction: a sum over processes beside the shape of the shard",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-unweighted-means",
        story="Averages the statistics of shards as if all were of one size.",
        steps=SharedSteps(merge=_unweighted),
        source="PaddlePaddle/Paddle#32464",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-replicated-summed",
        story="Sums statistics over processes of which each has the whole width: those of a replicated DTensor are as "
        "many times too large as there are processes.",
        steps=SharedSteps(copied=_own_count),
        source="construction: DTensor.to_local and an all-reduce, whatever the input's placement",
        damages="the output for a replicated DTensor, and the gradients through it",
        concerns=lambda entry: entry.divides_parameters,
    ),
    SynchronizedFault(
        name="sync-inverse-averaged",
        story="Averages the reciprocal standard deviations of shards.",
        steps=SharedSteps(merge=_inverse_averaged),
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-own-mean",
        story="Subtracts the mean of the own shard: it is read before the asynchronous sum of the means has ended.",
        steps=SharedSteps(merge=_own_mean, stored=_right),
        source="construction: torch.distributed.all_reduce with async_op=True, whose handle is waited for too late",
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-first-rank-statistics",
        story="Broadcasts the statistics of the first shard to all processes.",
        steps=SharedSteps(merge=_of_first, through=0.0),
        source="construction: torch.distributed.broadcast of statistics, as of buffers",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-unbiased-variance",
        story="Normalizes by the variance with the divisor n - 1, which is that of the running statistics.",
        steps=SharedSteps(merge=_unbiased, pull=_through_unbiased, stored=_right),
        source="construction: one variance for both",
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-eps-outside-root",
        story="Adds eps to the standard deviation, not to the variance.",
        steps=SharedSteps(merge=_eps_outside, pull=_through_deviation, stored=_right),
        source="construction: x / (std + eps)",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-eps-twice",
        story="Adds eps to the variance of each shard before it is shared, and again after it.",
        steps=SharedSteps(merge=_eps_twice),
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-one-pass-variance",
        story="Shares sums and sums of squares: the variance is E[x^2] - E[x]^2, which loses all digits at an offset.",
        steps=SharedSteps(merge=_one_pass),
        source="construction: vacancy/Synchronized-BatchNorm-PyTorch and others share sum and ssum",
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-count-in-half",
        story="Keeps counts in the input's half-precision format, in which their total overflows.",
        steps=SharedSteps(merge=_narrow_counts),
        source="pytorch/pytorch#70901",
        damages="half precision with more members than it counts",
        concerns=keeps,
    ),
    SynchronizedFault(
        name="sync-empty-shard-counted",
        story="Counts an empty shard as one case, so that no count is 0.",
        steps=SharedSteps(merge=_empty_as_one),
        damages="batches with an empty shard",
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-empty-shard-nan",
        story="Shares the mean of an empty shard, which is NaN on every process then.",
        steps=SharedSteps(merge=_empty_is_nan),
        source="pytorch/pytorch#74944",
        damages="batches with an empty shard",
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-group-ignored",
        story="Shares statistics among all processes, whatever group it is given.",
        steps=SharedSteps(grouped=_joined),
        source="construction: a call of torch.distributed without group=",
        damages="layers in a process group",
        concerns=lambda entry: not entry.divides_parameters,
    ),
    SynchronizedFault(
        name="sync-counts-stale",
        story="Keeps the counts of the first batch: a later one that is divided in another way is weighted by them.",
        steps=SharedSteps(stale=True),
        source="construction: counts that are gathered once",
        damages="calls after the first",
        concerns=lambda entry: entry.divides_sets and not entry.divides_parameters,
    ),
    SynchronizedFault(
        name="sync-batch-in-evaluation",
        story="Normalizes by the statistics of the batch in evaluation too.",
        steps=SharedSteps(evaluates=False),
        damages="evaluation",
        concerns=keeps,
    ),
)  # fmt: skip
