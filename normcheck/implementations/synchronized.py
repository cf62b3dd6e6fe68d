"""Synchronized batch normalization that runs on the CPU with gloo; torch.nn.SyncBatchNorm needs CUDA.

Each process has a shard of the batch. What is shared: count, mean and sum of squared deviations of each shard, which
are merged as Chan, Golub and LeVeque 1983 do, and two sums in the backward pass. All of it is in single precision or
wider, counts included.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def merged(count: Tensor, mean: Tensor, squares: Tensor, group: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and variance of the joined batch, from those of this shard; a shard may be empty.

    count: (1,). mean, squares: (channels,), squares the sum of squared deviations from the mean of the shard.
    """
    own = torch.cat([count, mean, squares])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own, group=group)
    rows = torch.stack(parts)
    counts, (means, sums) = rows[:, :1], rows[:, 1:].chunk(2, dim=1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    between = (counts * (means - mean).square()).sum(0)
    return total, mean, (sums.sum(0) + between) / total


class Normalized(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) with the statistics of the joined batch; x: (cases, channels, positions).

    Returns the normalized input, and count, mean and variance, which have no gradient of their own.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, group: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        members = x.shape[0] * x.shape[2]
        local = x.sum((0, 2)) / max(members, 1)
        squares = (x - local[:, None]).square().sum((0, 2))
        count, mean, var = merged(x.new_tensor([members]), local, squares, group)
        rstd = (var + eps).rsqrt()
        xhat = (x - mean[:, None]) * rstd[:, None]
        ctx.save_for_backward(xhat, rstd, count)
        ctx.group = group
        ctx.mark_non_differentiable(count, mean, var)
        return xhat, count, mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        """dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + eps), means over the joined batch."""
        xhat, rstd, count = ctx.saved_tensors
        sums = torch.stack([g.sum((0, 2)), (g * xhat).sum((0, 2))])
        dist.all_reduce(sums, group=ctx.group)
        level, slope = sums / count
        return (g - level[:, None] - xhat * slope[:, None]) * rstd[:, None], None, None


def sync_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    process_group: Any = None,
) -> Tensor:
    """Batch norm over the cases of all processes of a group; x: (cases, channels, *space), the shard of this process.

    Gradients of weight and bias are local: their sum over processes is that of the joined batch.
    """
    h = x.reshape(*x.shape[:2], math.prod(x.shape[2:])).to(torch.promote_types(x.dtype, torch.float32))
    if training:
        xhat, count, mean, var = Normalized.apply(h, eps, process_group)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                unbiased = var * count / (count - 1).clamp_min(1)
                running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    else:
        assert running_mean is not None
        assert running_var is not None
        rstd = (running_var.to(h.dtype) + eps).rsqrt()
        xhat = (h - running_mean.to(h.dtype)[:, None]) * rstd[:, None]
    if weight is not None:
        xhat = xhat * weight.to(h.dtype)[:, None]
    if bias is not None:
        xhat = xhat + bias.to(h.dtype)[:, None]
    y: Tensor = xhat.reshape(x.shape).to(x.dtype)
    return y


class SyncBatchNorm(torch.nn.Module):
    """`sync_batch_norm` as a layer, with the constructor of torch.nn.SyncBatchNorm."""

    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
    ) -> None:
        super().__init__()
        self.eps, self.momentum, self.process_group = eps, momentum, process_group
        self.weight = torch.nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = torch.nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x: Tensor) -> Tensor:
        training = self.training or self.running_mean is None
        return sync_batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps,
            self.process_group,
        )  # fmt: skip
