"""Orthogonal weights, in torch: the Cayley map written out, and torch's own parametrization as a function."""

from __future__ import annotations

import torch
from torch.nn.utils import parametrizations


def cayley(weight: torch.Tensor) -> torch.Tensor:
    """A weight with orthonormal columns, or rows if it is wide (Lezcano-Casado, Martinez-Rubio 2019)."""
    units, inputs = weight.shape
    if units < inputs:
        return cayley(weight.T).T
    lower = torch.nn.functional.pad(weight.tril(), (0, units - inputs))
    half = (lower - lower.T) / 2
    one = torch.eye(units, dtype=weight.dtype)
    made: torch.Tensor = torch.linalg.solve(one - half, one + half)
    return made[:, :inputs]


def torch_orthogonal(weight: torch.Tensor, orthogonal_map: str = "cayley") -> torch.Tensor:
    """What torch.nn.utils.parametrizations.orthogonal makes of a weight without a trivialization."""
    units, inputs = weight.shape
    layer = torch.nn.Linear(inputs, units, bias=False, dtype=weight.dtype)
    made = parametrizations.orthogonal(layer, orthogonal_map=orthogonal_map, use_trivialization=False)
    found: torch.Tensor = made.get_submodule("parametrizations.weight.0")(weight)
    return found
