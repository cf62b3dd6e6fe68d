"""Transforms of a module, f(module, name="weight", dim=0), applied to a module that only returns its weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from normcheck import uses
from normcheck.adapters import torch_tensors as tensors
from normcheck.adapters.base import Call
from normcheck.adapters.binding import Binding
from normcheck.adapters.torch_layer import Layer
from normcheck.adapters.torch_uses import make as make_call
from normcheck.case import Case
from normcheck.errors import CallError

ROLES = ("module", "name", "dim")

USES = (*uses.WITHOUT_GRADIENT, *uses.FROZEN, "rewritten storage", "accumulated gradient", uses.SECOND)
"""Ways to call that leave the leaves in their module."""


class Holder(torch.nn.Module):
    """A module whose output is its weight."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self) -> torch.Tensor:
        return self.weight


def _direction_and_length(module: torch.nn.Module, case: Case, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The parameters v and g that the transform left: told apart by size, and by torch's names where sizes agree."""
    assert case.weight is not None
    found = dict(module.named_parameters())
    v = [key for key, p in found.items() if tuple(p.shape) == case.x.shape]
    g = [key for key, p in found.items() if p.numel() == case.weight.size]
    v.sort(key=lambda key: not key.endswith(("_v", "original1")))
    g.sort(key=lambda key: not key.endswith(("_g", "original0")))
    if not v or not g or v[0] == g[0] or len(found) != 2:
        shapes = {key: tuple(p.shape) for key, p in found.items()}
        raise CallError(f"{name} left the parameters {shapes}; expected a direction and a length for the weight")
    return found[v[0]], found[g[0]]


def make(transform: Callable[..., Any], binding: Binding, name: str) -> Call:
    """Answers cases by transforming a fresh module, setting v and g, and reading the weight from a call."""

    def prepare(case: Case) -> Layer:
        assert case.weight is not None
        holder = Holder(tensors.tensor(case.x, case))
        args, kwargs = binding.arguments({"module": holder, "name": "weight", "dim": case.dim})
        module = tensors.guarded(lambda: transform(*args, **kwargs), case, name)
        if not isinstance(module, torch.nn.Module):
            raise CallError(f"{name} returned {type(module).__name__}; expected the module that it was given")
        v, g = _direction_and_length(module, case, name)
        with torch.no_grad():
            v.copy_(tensors.tensor(case.x, case))
            g.copy_(tensors.tensor(case.weight.reshape(tuple(g.shape)), case))
        return Layer(name, (v, g, None), lambda *own: module())

    return make_call(prepare)
