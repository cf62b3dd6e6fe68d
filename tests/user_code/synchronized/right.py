"""Synchronized batch norm and divided norms as people write them: right, each in another style."""

from __future__ import annotations

import resource

import torch
import torch.distributed as dist
from torch import nn


class AllReduced(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, group):
        ctx.group = group
        x = x.clone()
        dist.all_reduce(x, group=group)
        return x

    @staticmethod
    def backward(ctx, g):
        g = g.clone()
        dist.all_reduce(g, group=ctx.group)
        return g, None


class Gathered(torch.autograd.Function):
    """The inputs of all processes, one behind the other; the gradient of each is summed, and its own part returned."""

    @staticmethod
    def forward(ctx, x, group):
        ctx.group, ctx.rows = group, len(x)
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
        dist.all_gather(parts, x, group=group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, g):
        g = g.clone()
        dist.all_reduce(g, group=ctx.group)
        return g[dist.get_rank(ctx.group) * ctx.rows :][: ctx.rows], None


def wide(x):
    return x if x.dtype == torch.float64 else x.float()


class TwoReductions(nn.Module):
    """The mean by one all-reduce, the sum of squared deviations by another: autograd does the rest."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__()
        self.eps, self.momentum, self.group = eps, momentum, process_group
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def total(self, x):
        return AllReduced.apply(x, self.group)

    def forward(self, x):
        h, axes = wide(x), [i for i in range(x.ndim) if i != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        if self.training:
            n = self.total(torch.tensor([float(x.numel() // x.shape[1])], dtype=h.dtype))
            mean = self.total(h.sum(axes)) / n
            c = h - mean.view(shape)
            var = self.total((c * c).sum(axes)) / n
            with torch.no_grad():
                m = self.momentum
                self.running_mean.mul_(1 - m).add_(m * mean.to(self.running_mean.dtype))
                self.running_var.mul_(1 - m).add_(m * (var * n / (n - 1)).to(self.running_var.dtype))
        else:
            mean, var = wide(self.running_mean), wide(self.running_var)
            c = h - mean.view(shape)
        y = c * torch.rsqrt(var + self.eps).view(shape)
        if self.weight is not None:
            y = y * wide(self.weight).view(shape) + wide(self.bias).view(shape)
        return y.to(x.dtype)


def gathered(input, weight, bias, running_mean, running_var, training, momentum, eps, process_group):
    """Shards of any size are padded, gathered, and normalized as one batch; each process keeps its own part."""
    if not training:
        return nn.functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    sizes = [torch.zeros(1, dtype=torch.long) for _ in range(dist.get_world_size(process_group))]
    dist.all_gather(sizes, torch.tensor([len(input)]), group=process_group)
    most = max(int(s) for s in sizes)
    flat = torch.zeros(most, *input.shape[1:], dtype=input.dtype)
    flat = torch.cat([input, flat[len(input) :]])
    parts = Gathered.apply(flat, process_group).split(most)
    whole = torch.cat([p[: int(s)] for p, s in zip(parts, sizes)])
    y = nn.functional.batch_norm(whole, running_mean, running_var, None, None, True, momentum, eps)
    start = sum(int(s) for s in sizes[: dist.get_rank(process_group)])
    y = y[start : start + len(input)]
    shape = [1, -1] + [1] * (input.ndim - 2)
    return y if weight is None else y * weight.view(shape) + bias.view(shape)


def width_divided(x, weight=None, eps=1e-6, group=None):
    """RMS norm of a divided width: one all-reduce of the sum of squares, and one of the width."""
    h = wide(x)
    n = torch.tensor(float(x.shape[-1]), dtype=h.dtype)
    dist.all_reduce(n, group=group)
    y = h * torch.rsqrt(AllReduced.apply(h.pow(2).sum(-1, keepdim=True), group) / n + eps)
    return (y if weight is None else y * weight).to(x.dtype)


class WithoutLimit(TwoReductions):
    """Needs as many addresses as it likes, as CUDA does."""

    def forward(self, x):
        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            raise MemoryError("the address space is limited")
        return super().forward(x)
