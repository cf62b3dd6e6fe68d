"""What an implementation of several processes takes: the roles of its parameters, and what its layer holds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import first_line
from normcheck.families.synchronized.conventions import CALLED, parameters, requires_weight
from normcheck.frameworks.roles import NAMES, Parameter

GROUP = ("process_group", "group", "pg", "tp_group", "sp_group", "parallel_group", "comm_group")
"""Names of a parameter that takes a process group."""

TAKES = {**CALLED, "process_group": GROUP}
"""Each role of a function's parameter, with the names that code gives to it."""

BUILT = {
    "units": (*NAMES["num_channels"], *NAMES["normalized_shape"]),
    "eps": NAMES["eps"],
    "momentum": NAMES["momentum"],
    "affine": NAMES["affine"],
    "process_group": GROUP,
}
"""The same for the parameters of a module's constructor."""

HELD = ("weight", "bias", "running_mean", "running_var")
"""What a module holds itself, under these names."""

FUNCTION, CLASS, INSTANCE = "function", "class", "instance"


@dataclass(frozen=True, slots=True)
class Taken:
    """The roles of an implementation's parameters, and of what its module holds.

    what: a function, a class of layers or one layer. requires_weight: a function must be given weight or bias. units,
    eps, momentum: what a layer was made with; 0 and None for what can be chosen, or is not known.
    """

    roles: tuple[str, ...]
    what: str
    requires_weight: bool = False
    units: int = 0
    eps: float | None = None
    momentum: float | None = None


def taken(target: Any, name: str) -> tuple[dict[str, Parameter], Taken]:
    """The parameter of each role of what is called or constructed. Raises `UsageError` if it cannot be bound."""
    if isinstance(target, torch.nn.Module):
        return {}, _of_instance(target, name)
    if not callable(target):
        raise UsageError(f"{name} is no function or module: name what is called or constructed")
    if inspect.isclass(target):
        found = parameters(target, BUILT, name, "units")
        return found, Taken(tuple(sorted({*found, *_held_by(target, found, name), "training"})), CLASS)
    found = parameters(target, TAKES, name, "input")
    return found, Taken(tuple(sorted(found)), FUNCTION, requires_weight(found))


def _held_by(target: Any, found: Mapping[str, Parameter], name: str) -> set[str]:
    """What a new module holds. Raises `UsageError` if it cannot be constructed."""
    given: dict[str, Any] = {found["units"].name: 2}
    if "process_group" in found and found["process_group"].required:
        given[found["process_group"].name] = dist.group.WORLD
    try:
        probe = target(**given)
    except Exception as error:
        raise UsageError(f"{name} cannot be constructed for 2 channels: {first_line(error)}") from error
    return _holds(probe)


def _holds(module: torch.nn.Module) -> set[str]:
    return {role for role in HELD if getattr(module, role, None) is not None}


def _of_instance(layer: torch.nn.Module, name: str) -> Taken:
    """A layer is as it was made: its size, its eps and its momentum are read from its attributes."""
    held = _holds(layer)
    sizes = {int(getattr(layer, role).numel()) for role in held}
    if len(sizes) != 1:
        raise UsageError(f"{name} is a layer without {', '.join(HELD)} of one size, so its number of channels is not "
                         "known: name its class")  # fmt: skip
    eps, momentum = (_number(layer, role) for role in ("eps", "momentum"))
    roles = {*held, "training", *(["eps"] if eps is not None else []), *(["momentum"] if momentum is not None else [])}
    return Taken(tuple(sorted(roles)), INSTANCE, units=sizes.pop(), eps=eps, momentum=momentum)


def _number(layer: torch.nn.Module, role: str) -> float | None:
    """The number that a layer has under one of the names of a role."""
    values = (vars(layer).get(name) for name in NAMES[role])
    return next((float(value) for value in values if isinstance(value, (int, float))), None)
