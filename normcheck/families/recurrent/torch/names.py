"""The roles of a recurrent module's parameters and buffers, by their names.

A name is read word by word (split at dots and underscores): which matrix or norm by "ih", "hh", "c" and what people
write for them, which kind by "weight", "gamma", "bias", "running_mean" and the like. A number is the step of a
statistic. A parameter whose role follows neither from its name nor from the entry is a usage error that lists names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import torch

from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import Array
from normcheck.families.recurrent.entry import CELL, INPUT, STATE, SUM, Recurrent
from normcheck.frameworks.torch import tensors

PLACES = {
    INPUT: {"ih", "i2h", "x2h", "xh", "i", "x", "input", "wx", "inp"},
    STATE: {"hh", "h2h", "h", "hidden", "recurrent", "rec", "wh"},
    CELL: {"c", "cell", "ho", "co", "out", "output"},
}
"""Words for what is multiplied or normalized."""


@dataclass(frozen=True, slots=True)
class Role:
    """The role of a tensor in a module, and the step of a statistic that belongs to one step."""

    name: str
    step: int | None = None


def role_of(name: str, shape: tuple[int, ...], entry: Recurrent) -> Role | None:
    """The role of the tensor of that name; None if its name does not tell."""
    *owners, last = name.lower().split(".")
    words = [word for word in re.split(r"[._]", name.lower()) if word and word != "l0"]
    numbers = [int(word) for word in words if word.isdigit()]
    place = next((p for p, known in PLACES.items() for word in words if word in known), "")
    if not place and len(entry.places) == 1:
        place = entry.places[0]
    if len(shape) == 2 and "running" not in words and "moving" not in words:
        return Role(f"weight_{place}") if place in (INPUT, STATE) else None
    if {"running", "moving"} & set(words):
        kind = "mean" if "mean" in words else "var" if {"var", "variance"} & set(words) else ""
        return Role(f"{kind}_{place}", numbers[-1] if numbers else None) if kind and place else None
    if last == "bias" and owners and re.search(r"norm|bn|ln", ".".join(owners)):
        kind = "shift"
    elif "bias" in words or last == "b":
        kind = "bias"
    elif {"beta", "shift"} & set(words):
        kind = "shift"
    else:
        kind = "gain" if {"weight", "gamma", "gain", "scale"} & set(words) else ""
    if kind == "bias" and place not in (INPUT, STATE):
        place = INPUT
    if kind in ("gain", "shift") and SUM in entry.places:
        place = SUM
    return Role(f"{kind}_{place}") if kind and place and not numbers else None


@dataclass
class NamedTensors:
    """The tensors of a module by role; statistics as a list by step, or as one tensor with an axis of steps."""

    trained: dict[str, torch.nn.Parameter] = field(default_factory=dict)
    kept: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def statistics(self, kind: str) -> dict[str, Array]:
        """Statistics of a kind, "mean" or "var", by place, (slots, width)."""
        found = (role.partition("_") for role in self.kept)
        return {place: rows(self.kept[f"{kind}_{place}"]) for word, _, place in found if word == kind}


def named_tensors(module: torch.nn.Module, entry: Recurrent, name: str) -> NamedTensors:
    """The tensors of a module. Raises `UsageError` for a trained parameter of unknown role, or two of one role."""
    out = NamedTensors()
    for full, trained in module.named_parameters():
        found = role_of(full, tuple(trained.shape), entry)
        if found is None:
            known = ", ".join(written(role) for role in entry.parameters)
            raise UsageError(f"{name}: what its parameter {full!r} is cannot be told; name them as {known}")
        if found.name in out.trained:
            raise UsageError(f"{name}: two of its parameters are {written(found.name)}; one of them is {full!r}")
        out.trained[found.name] = trained
    numbered: dict[str, list[tuple[int, torch.Tensor]]] = {}
    for full, value in module.named_buffers():
        found = role_of(full, tuple(value.shape), entry) if value.ndim else None
        if found is not None and found.name.startswith(("mean_", "var_")):
            numbered.setdefault(found.name, []).append((found.step or 0, value))
    for role, some in numbered.items():
        out.kept[role] = [value for _, value in sorted(some, key=lambda pair: pair[0])]
    return out


def written(role: str) -> str:
    """A role as torch would name it."""
    kind, _, place = role.partition("_")
    if kind in ("weight", "bias"):
        return f"{role}_l0"
    return f"norm{'' if place == SUM else f'_{place}'}.{'weight' if kind == 'gain' else 'bias'}"


def rows(some: list[torch.Tensor]) -> Array:
    """Statistics as (slots, width)."""
    return np.concatenate([np.atleast_2d(tensors.array(value)) for value in some])


def fill(some: list[torch.Tensor], values: Array, name: str) -> None:
    """Copy statistics, (slots, width), into a module's tensors. Raises `CallError` if it keeps another number."""
    if len(values) != sum(1 if value.ndim == 1 else len(value) for value in some):
        held = len(rows(some))
        raise CallError(f"{name} keeps statistics of {held} steps where it was told {len(values)}")
    left = values
    for value in some:
        count = 1 if value.ndim == 1 else len(value)
        value.copy_(torch.from_numpy(left[:count].reshape(tuple(value.shape)).copy()))
        left = left[count:]
