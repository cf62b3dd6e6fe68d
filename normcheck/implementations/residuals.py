"""Arrangements of residual, branch and normalizer, in torch."""

from __future__ import annotations

import torch


class SandwichNorm(torch.nn.Module):
    """A residual and the layer norm of a branch's output (Ding et al. 2021), over the last axis."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(dim, eps=eps)

    def forward(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        normalized: torch.Tensor = self.norm(x)
        return residual + normalized
