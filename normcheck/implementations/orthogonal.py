"""Orthogonal weights, in torch: maps of a skew-symmetric matrix, and torch's own parametrization as a function."""

from __future__ import annotations

import torch
from torch.nn.utils import parametrizations


def orthogonal(weight: torch.Tensor, orthogonal_map: str = "cayley") -> torch.Tensor:
    """A weight with orthonormal columns, or rows if it is wide (Lezcano-Casado, Martinez-Rubio 2019).

    The exponential is that of two equal matrices: of a single one, torch up to 2.13 takes a series with a wrong
    coefficient where the matrix is small (pytorch#196592).
    """
    units, inputs = weight.shape
    if units < inputs:
        return orthogonal(weight.T, orthogonal_map).T
    lower = torch.nn.functional.pad(weight.tril(), (0, units - inputs))
    skew = lower - lower.T
    if orthogonal_map == "matrix_exp":
        return torch.matrix_exp(torch.stack([skew, skew]))[0, :, :inputs]
    one = torch.eye(units, dtype=weight.dtype)
    made: torch.Tensor = torch.linalg.solve(one - skew / 2, one + skew / 2)
    return made[:, :inputs]


def torch_cayley(weight: torch.Tensor) -> torch.Tensor:
    """What torch.nn.utils.parametrizations.orthogonal makes of a weight by the Cayley map, without a trivialization."""
    units, inputs = weight.shape
    layer = torch.nn.Linear(inputs, units, bias=False, dtype=weight.dtype)
    made = parametrizations.orthogonal(layer, orthogonal_map="cayley", use_trivialization=False)
    found: torch.Tensor = made.get_submodule("parametrizations.weight.0")(weight)
    return found
