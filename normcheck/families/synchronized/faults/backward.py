"""Faults of the backward pass: sums over processes that are missing, weighted wrongly, or made once too often."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.faults.base import (
    BACKWARD,
    SynchronizedFault,
    centers,
    local_parameters,
    reduces,
    replicates,
    shares,
)
from normcheck.families.synchronized.faults.run import LocalSums, SharedSteps, over_all, right_parameters


def _own_sums(local: LocalSums) -> tuple[Array, Array]:
    """The sums of the rank's own shard, divided by the count of all."""
    return local.g / local.total, local.gx / local.total


def _own_part(local: LocalSums) -> tuple[Array, Array]:
    """What autograd makes of squared deviations: those of the own shard do not sum to 0."""
    level, slope = _own_sums(local)
    return level - slope * local.x / local.total, slope


def own_means(local: LocalSums) -> tuple[Array, Array]:
    """The means of the rank's own shard."""
    return local.g / local.own, local.gx / local.own


def _mean_of_means(local: LocalSums) -> tuple[Array, Array]:
    """The mean over ranks of their means."""
    level, slope = own_means(local)
    return over_all(level) / len(level), over_all(slope) / len(slope)


def _local_divisor(local: LocalSums) -> tuple[Array, Array]:
    """The sums of all ranks, divided by the rank's own count."""
    return over_all(local.g) / local.own, over_all(local.gx) / local.own


def _local_count(local: LocalSums) -> tuple[Array, Array]:
    """The sums of all ranks, divided by the rank's own count times the number of ranks."""
    level, slope = _local_divisor(local)
    return level / len(level), slope / len(slope)


def _reduced(entry: Synchronized, local: list[Array]) -> list[Array]:
    return [sum(local, np.zeros_like(local[0]))] * len(local)


def _summed_again(entry: Synchronized, local: list[Array]) -> list[Array]:
    return [one * len(local) for one in right_parameters(entry, local)]


def _divided(entry: Synchronized, local: list[Array]) -> list[Array]:
    return [one / len(local) for one in right_parameters(entry, local)]


def _not_reduced(entry: Synchronized, local: list[Array]) -> list[Array]:
    return local


ALL = (
    SynchronizedFault(
        name="sync-backward-not-reduced",
        story="Sums over processes in the forward pass only: the gradient passes through the rank's own part of it.",
        steps=SharedSteps(pull=_own_sums),
        source="construction: torch.distributed.all_reduce, which autograd does not see",
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-backward-own-part",
        story="Sums deviations and their squares over processes in the forward pass only: the gradient passes through "
        "the rank's own part of both sums.",
        steps=SharedSteps(pull=_own_part),
        source="construction: torch.distributed.all_reduce, which autograd does not see",
        damages=BACKWARD,
        concerns=centers,
    ),
    SynchronizedFault(
        name="sync-backward-local",
        story="Has the backward of a layer that shares nothing: the means of the own shard.",
        steps=SharedSteps(pull=own_means),
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-backward-unweighted",
        story="Averages the means of the backward over processes as if all shards were of one size.",
        steps=SharedSteps(pull=_mean_of_means),
        source="pytorch/pytorch#36382",
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-backward-local-count",
        story="Divides the sums of all processes in the backward by the local count.",
        steps=SharedSteps(pull=_local_divisor),
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-backward-times-ranks",
        story="Divides the sums of all processes in the backward by the local count times the number of processes.",
        steps=SharedSteps(pull=_local_count),
        source="construction: the number of processes beside the shape of the shard",
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-statistics-constant",
        story="Lets no gradient pass through the shared statistics: what was received is a constant.",
        steps=SharedSteps(through=0.0),
        source="construction: torch.distributed.all_gather, whose results have no gradient",
        damages=BACKWARD,
        concerns=shares,
    ),
    SynchronizedFault(
        name="sync-parameters-reduced",
        story="Sums the gradients of weight and bias over processes, which the optimizer's wrapper does once more.",
        steps=SharedSteps(parameters=_reduced),
        source="sony/nnabla#1120",
        damages="gradients of weight and bias",
        concerns=local_parameters,
    ),
    SynchronizedFault(
        name="sync-parameters-summed-again",
        story="Sums the gradients of weight and bias over processes twice: the layer, and what it is called by.",
        steps=SharedSteps(parameters=_summed_again),
        source="construction: jax.lax.psum of the gradient of a parameter that jax.shard_map replicates",
        damages="gradients of weight and bias",
        concerns=reduces,
    ),
    SynchronizedFault(
        name="sync-parameters-divided",
        story="Divides the gradients of weight and bias by the number of processes.",
        steps=SharedSteps(parameters=_divided),
        source="construction: an average that DistributedDataParallel makes too",
        damages="gradients of weight and bias",
        concerns=replicates,
    ),
    SynchronizedFault(
        name="sync-replicated-parameters-summed",
        story="Sums the gradients of weight and bias over processes of which each has that of all rows: those of a "
        "replicated DTensor are as many times too large as there are processes.",
        steps=SharedSteps(copied_parameters=_reduced),
        source="construction: DTensor.to_local(grad_placements=[Partial()]), whatever the input's placement",
        damages="gradients of weight and bias, of a replicated DTensor",
        concerns=reduces,
    ),
    SynchronizedFault(
        name="sync-sequence-parameters-partial",
        story="Sums the gradients of weight and bias over processes where the first axis is divided only: those of a "
        "DTensor that is sharded along its sequence stay local.",
        steps=SharedSteps(sequence_parameters=_not_reduced),
        source="construction: a test for placements == [Shard(0)]",
        damages="gradients of weight and bias, of a DTensor that is sharded along axis 1",
        concerns=reduces,
    ),
    SynchronizedFault(
        name="sync-parameters-partial",
        story="Leaves the gradients of weight and bias local: they differ between processes, and the weights soon too.",
        steps=SharedSteps(parameters=_not_reduced),
        source="NVIDIA/Megatron-LM#1446, NVIDIA/Megatron-LM#7452",
        damages="gradients of weight and bias",
        concerns=reduces,
    ),
)
