"""Normalizers of the nodes of several graphs, in torch: batch is the number of the graph of each node."""

from __future__ import annotations

import torch


def _count(batch: torch.Tensor, batch_size: int | None) -> int:
    return int(batch.max()) + 1 if batch_size is None else batch_size


def _mean(x: torch.Tensor, batch: torch.Tensor, graphs: int) -> torch.Tensor:
    """The mean over the nodes of each graph, at each of its nodes."""
    sums = x.new_zeros(graphs, x.shape[1]).index_add(0, batch, x)
    nodes = torch.bincount(batch, minlength=graphs).clamp(min=1).to(x.dtype)
    return (sums / nodes[:, None])[batch]


class BatchedGraphNorm(torch.nn.Module):
    """Nodes minus a learned share of their graph's mean, normalized (Cai et al. 2021); x: (nodes, features)."""

    def __init__(self, in_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(in_channels))
        self.bias = torch.nn.Parameter(torch.zeros(in_channels))
        self.mean_scale = torch.nn.Parameter(torch.ones(in_channels))
        self.eps = eps

    def forward(
        self, x: torch.Tensor, batch: torch.Tensor | None = None, batch_size: int | None = None
    ) -> torch.Tensor:
        batch = torch.zeros(len(x), dtype=torch.long) if batch is None else batch
        graphs = _count(batch, batch_size)
        c = x - self.mean_scale * _mean(x, batch, graphs)
        return self.weight * c / torch.sqrt(_mean(c.square(), batch, graphs) + self.eps) + self.bias


class BatchedPairNorm(torch.nn.Module):
    """Nodes of each graph with a constant mean squared distance (Zhao, Akoglu 2020); x: (nodes, features)."""

    def __init__(self, scale: float = 1.0, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale, self.eps = scale, eps

    def forward(
        self, x: torch.Tensor, batch: torch.Tensor | None = None, batch_size: int | None = None
    ) -> torch.Tensor:
        batch = torch.zeros(len(x), dtype=torch.long) if batch is None else batch
        graphs = _count(batch, batch_size)
        c = x - _mean(x, batch, graphs)
        return self.scale * c / torch.sqrt(_mean(c.square().sum(1, keepdim=True), batch, graphs) + self.eps)
