"""A module whose memory was emptied, as when it was made on the meta device: what fills it again, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import torch

from normcheck.core.device import DEVICE
from normcheck.core.foreign_code import ENDS


def emptied(module: torch.nn.Module) -> torch.nn.Module:
    """The module itself, with new memory that only `reset_parameters` of its modules has filled.

    What none of them reaches is NaN: `to_empty` leaves whatever the memory held.
    """
    module.to_empty(device=DEVICE.get())
    with torch.no_grad():
        for one in (*module.parameters(), *module.buffers()):
            if one.is_floating_point():
                one.fill_(float("nan"))
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
    return module


def unfilled(
    module: torch.nn.Module, copied: Callable[[torch.nn.Module], torch.nn.Module], known: set[int]
) -> tuple[str, ...]:
    """Names of buffers and parameters that neither `reset_parameters` nor the state fills again, once it is emptied.

    copied: makes a copy. known: the ids of tensors that are left out. None of a module that raises in one of these
    steps: it says so itself to those who take them.
    """
    try:
        copy = emptied(copied(module))
        copy.load_state_dict(module.state_dict())
        held = {**dict(copy.named_parameters()), **dict(copy.named_buffers())}
        before = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    except ENDS:
        raise
    except BaseException:  # what user code raises has any type
        return ()
    return tuple(
        name
        for name, one in held.items()
        if name in before and id(before[name]) not in known and _lost(one, before[name])
    )


def _lost(now: torch.Tensor, before: torch.Tensor) -> bool:
    """Whether a tensor has NaN where it had none before."""
    return now.is_floating_point() and bool((now.isnan() & ~before.isnan()).any())


def left_behind(module: torch.nn.Module) -> tuple[str, ...]:
    """Names of attributes that are tensors, but no parameters or buffers: they stay on the device they were made on."""
    own = {id(one) for one in (*module.parameters(), *module.buffers())}
    held = ((name, value) for one in module.modules() for name, value in vars(one).items())
    return tuple(name for name, value in held if isinstance(value, torch.Tensor) and id(value) not in own)
