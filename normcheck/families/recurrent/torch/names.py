"""What is what in a recurrent module, by the names of its parameters and buffers.

A name is read word by word (split at dots and underscores): which matrix or norm by "ih", "hh", "c" and what people
write for them, which kind by "weight", "gamma", "bias", "running_mean" and the like. A number is the step of a
statistic. What a name does not say, and the entry leaves open, is a usage error with the names that would do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import torch

from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import Array
from normcheck.families.recurrent.entry import Recurrent
from normcheck.frameworks.torch import tensors

PLACES = {
    "ih": {"ih", "i2h", "x2h", "xh", "i", "x", "input", "wx", "inp"},
    "hh": {"hh", "h2h", "h", "hidden", "recurrent", "rec", "wh"},
    "c": {"c", "cell", "ho", "co", "out", "output"},
}
"""Words for what is multiplied or normalized."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a tensor of a module is: its role, and of a statistic the step, where it has one of its own."""

    role: str
    step: int | None = None


def part(name: str, shape: tuple[int, ...], entry: Recurrent) -> Part | None:
    """What the tensor of that name is; None if its name does not say."""
    *owners, last = name.lower().split(".")
    words = [word for word in re.split(r"[._]", name.lower()) if word and word != "l0"]
    numbers = [int(word) for word in words if word.isdigit()]
    place = next((p for p, known in PLACES.items() for word in words if word in known), "")
    if not place and len(entry.places) == 1:
        place = entry.places[0]
    if len(shape) == 2 and "running" not in words and "moving" not in words:
        return Part(f"weight_{place}") if place in ("ih", "hh") else None
    if {"running", "moving"} & set(words):
        kind = "mean" if "mean" in words else "var" if {"var", "variance"} & set(words) else ""
        return Part(f"{kind}_{place}", numbers[-1] if numbers else None) if kind and place else None
    if last == "bias" and owners and re.search(r"norm|bn|ln", ".".join(owners)):
        kind = "shift"
    elif "bias" in words or last == "b":
        kind = "bias"
    elif {"beta", "shift"} & set(words):
        kind = "shift"
    else:
        kind = "gain" if {"weight", "gamma", "gain", "scale"} & set(words) else ""
    if kind == "bias" and place not in ("ih", "hh"):
        place = "ih"
    if kind in ("gain", "shift") and "sum" in entry.places:
        place = "sum"
    return Part(f"{kind}_{place}") if kind and place and not numbers else None


@dataclass
class Parts:
    """The tensors of a module by role; of statistics a list by step, or one with an axis of steps."""

    trained: dict[str, torch.nn.Parameter] = field(default_factory=dict)
    kept: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def statistics(self, kind: str) -> dict[str, Array]:
        """Those of a kind, "mean" or "var", by place."""
        found = (role.partition("_") for role in self.kept)
        return {place: rows(self.kept[f"{kind}_{place}"]) for word, _, place in found if word == kind}


def parts(module: torch.nn.Module, entry: Recurrent, name: str) -> Parts:
    """Raises `UsageError` for a trained parameter whose name says nothing, or for two of one role."""
    out = Parts()
    for full, trained in module.named_parameters():
        found = part(full, tuple(trained.shape), entry)
        if found is None:
            known = ", ".join(written(role) for role in entry.parameters)
            raise UsageError(f"{name}: what its parameter {full!r} is cannot be told; name them as {known}")
        if found.role in out.trained:
            raise UsageError(f"{name}: two of its parameters are {written(found.role)}; one of them is {full!r}")
        out.trained[found.role] = trained
    numbered: dict[str, list[tuple[int, torch.Tensor]]] = {}
    for full, value in module.named_buffers():
        found = part(full, tuple(value.shape), entry) if value.ndim else None
        if found is not None and found.role.startswith(("mean_", "var_")):
            numbered.setdefault(found.role, []).append((found.step or 0, value))
    for role, some in numbered.items():
        out.kept[role] = [value for _, value in sorted(some, key=lambda pair: pair[0])]
    return out


def written(role: str) -> str:
    """A role as torch would name it."""
    kind, _, place = role.partition("_")
    if kind in ("weight", "bias"):
        return f"{role}_l0"
    return f"norm{'' if place == 'sum' else f'_{place}'}.{'weight' if kind == 'gain' else 'bias'}"


def rows(some: list[torch.Tensor]) -> Array:
    """Statistics as (slots, width)."""
    return np.concatenate([np.atleast_2d(tensors.array(value)) for value in some])


def fill(some: list[torch.Tensor], values: Array, name: str) -> None:
    """Write statistics, (slots, width), where a module keeps them. Raises `CallError` where it has another number."""
    if len(values) != sum(1 if value.ndim == 1 else len(value) for value in some):
        held = len(rows(some))
        raise CallError(f"{name} keeps statistics of {held} steps where it was told {len(values)}")
    left = values
    for value in some:
        count = 1 if value.ndim == 1 else len(value)
        value.copy_(torch.from_numpy(left[:count].reshape(tuple(value.shape)).copy()))
        left = left[count:]
