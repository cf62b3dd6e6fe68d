"""Unit length over channels with a learned weight for each, in torch."""

from __future__ import annotations

import torch


class L2Norm(torch.nn.Module):
    """L2 normalization of maps (cases, channels, height, width) as in SSD (Liu et al. 2016); weights start at scale."""

    def __init__(self, n_channels: int, scale: float = 20.0, eps: float = 1e-10) -> None:
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.full((n_channels,), scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm: torch.Tensor = x.pow(2).sum(dim=1, keepdim=True).sqrt() + self.eps
        return self.weight[None, :, None, None] * (x / norm)
