"""Faults of a layer below the wrappers of torch, and of its state: a layer alone has none of them."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.synchronized.case import META, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.faults.base import SynchronizedFault, keeps, reduces, replicates
from normcheck.families.synchronized.faults.run import SharedSteps

BELOW = "a layer below FSDP2: alone it is right"


def _first_values(case: RanksCase) -> RanksCase:
    """With the parameters that a new layer has."""
    weight, bias = case.joined.weight, case.joined.bias
    return case.but(
        weight=None if weight is None else np.ones_like(weight), bias=None if bias is None else np.zeros_like(bias)
    )


def _no_gradients(entry: Synchronized, local: list[Array]) -> list[Array]:
    return [np.zeros_like(one) for one in local]


def _not_reduced(entry: Synchronized, local: list[Array]) -> list[Array]:
    return local


def _never_filled(case: RanksCase) -> RanksCase:
    """NaN stands for memory that nothing has filled."""
    return case.but(eps=float("nan")) if case.wrapper == META else case


def _first_statistics(case: RanksCase) -> RanksCase:
    """With the running statistics that a new layer has."""
    mean, var = case.joined.running_mean, case.joined.running_var
    assert mean is not None
    assert var is not None
    return case.but(running_mean=np.zeros_like(mean), running_var=np.ones_like(var))


def _lost_statistics(case: RanksCase) -> RanksCase:
    """The same below a wrapper, where NaN stands for memory that nothing has filled."""
    first = _first_statistics(case)
    if case.wrapper != META:
        return first
    unfilled = np.full_like(first.joined.running_mean, np.nan)
    return first.but(running_mean=unfilled, running_var=unfilled)


ALL = (
    SynchronizedFault(
        name="sync-wrapped-parameters-stale",
        story="Keeps its own reference to the parameters that it was made with: FSDP2 replaces them, and neither a "
        "loaded state nor the optimizer reaches it.",
        steps=SharedSteps(wrapped=_first_values, wrapped_parameters=_no_gradients),
        source="construction: parameters in a list or a closure; torch.distributed.fsdp.fully_shard",
        damages=BELOW,
        concerns=replicates,
    ),
    SynchronizedFault(
        name="sync-wrapped-hook-lost",
        story="Sums the gradients of its parameters in a hook that it registers when it is made: FSDP2 replaces the "
        "parameters, and the hook with them.",
        steps=SharedSteps(wrapped_parameters=_not_reduced),
        source="construction: Tensor.register_hook in __init__; torch.distributed.fsdp.fully_shard",
        damages=BELOW,
        concerns=reduces,
    ),
    SynchronizedFault(
        name="sync-meta-uninitialized",
        story="Has a buffer that neither reset_parameters nor a state fills: after to_empty it is whatever memory "
        "held.",
        steps=SharedSteps(wrapped=_never_filled),
        source="construction: register_buffer(persistent=False) without reset_parameters; torch.nn.Module.to_empty",
        damages="a layer that was made on the meta device",
        concerns=replicates,
    ),
    SynchronizedFault(
        name="sync-state-incomplete",
        story="Keeps running statistics that no state has: a layer that loads one starts with new statistics.",
        steps=SharedSteps(wrapped=_lost_statistics, loaded=_first_statistics),
        source="construction: running statistics that are not persistent; torch.nn.Module.register_buffer",
        damages="a layer that has loaded a state",
        concerns=keeps,
    ),
)
