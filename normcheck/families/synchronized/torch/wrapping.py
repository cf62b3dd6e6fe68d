"""A layer below the wrappers of torch: its parameters are sharded over all processes, or replicated on them.

What the wrappers promise: output and running statistics are those of the layer alone, the gradient of a parameter is
the mean over processes of its local gradients, and the full state is that of the layer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist

from normcheck.core.device import DEVICE
from normcheck.families.synchronized.case import DDP, META
from normcheck.frameworks.torch.emptied import emptied

NEEDED = (
    "torch._dynamo:disable",
    "torch.distributed.fsdp:fully_shard",
    "torch.distributed.checkpoint.state_dict:get_model_state_dict",
)
"""What takes seconds to import."""

State = Mapping[str, Any]
"""The state of a layer as `state_dict` returns it, each tensor whole."""


def wrapped(build: Callable[[], torch.nn.Module], how: str, state: State) -> torch.nn.Module:
    """A new layer below a wrapper, which has loaded a full state after it was wrapped.

    The order is that of a run that goes on from a checkpoint. Memory of a layer from the meta device is filled with NaN
    before `reset_parameters` of its modules and the state fill it: what neither of them reaches stays NaN.
    """
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415  # a second of imports that few calls need
        StateDictOptions,
        set_model_state_dict,
    )

    made = _replicated(build().to(DEVICE.get())) if how == DDP else _sharded(build, how)
    set_model_state_dict(made, dict(state), options=StateDictOptions(full_state_dict=True))
    return made


def _replicated(module: torch.nn.Module) -> torch.nn.Module:
    """Buffers are not broadcast from rank 0: replicas of a synchronized layer have equal ones by themselves."""
    if not any(one.requires_grad for one in module.parameters()):
        return module  # DistributedDataParallel takes no layer without parameters: there is nothing to replicate
    return torch.nn.parallel.DistributedDataParallel(module, broadcast_buffers=False)


def _sharded(build: Callable[[], torch.nn.Module], how: str) -> torch.nn.Module:
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415  # as above
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415

    mesh = init_device_mesh(torch.device(DEVICE.get()).type, (dist.get_world_size(),))
    if how == META:
        with torch.device("meta"):
            made = build()
    else:
        made = build().to(DEVICE.get())
    fully_shard(made, mesh=mesh)
    if how != META:
        return made
    return emptied(made)


def saved(module: torch.nn.Module) -> State:
    """The full state of a layer below a wrapper, without the wrapper's prefixes."""
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415  # as above
        StateDictOptions,
        get_model_state_dict,
    )

    return get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))


def inner(module: torch.nn.Module) -> torch.nn.Module:
    """The layer itself."""
    return module.module if isinstance(module, torch.nn.parallel.DistributedDataParallel) else module


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be sharded over the processes, as one of them would have it. All processes call it together."""
    gathered = getattr(tensor, "full_tensor", None)
    return tensor if gathered is None else gathered()
