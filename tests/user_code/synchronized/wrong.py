"""Synchronized batch norm and divided norms as people write them, each with one mistake."""

from __future__ import annotations

import os
import signal
import time

import torch
import torch.distributed as dist
from right import AllReduced, TwoReductions, wide


class Local(torch.nn.BatchNorm1d):
    """Every process has statistics of its own."""

    def _check_input_dim(self, input):
        pass


class NotDifferentiated(TwoReductions):
    """dist.all_reduce in the forward pass: autograd sees the own part of each sum only."""

    def total(self, x):
        with torch.no_grad():
            others = x.clone()
            dist.all_reduce(others, group=self.group)
            others -= x
        return x + others


class Detached(TwoReductions):
    """The shared statistics are constants for autograd."""

    def total(self, x):
        return super().total(x.detach())


class EqualShards(TwoReductions):
    """The mean of the means and of the mean squares, as if all shards had one size (as in some detection codes)."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        h, axes = wide(x), [i for i in range(x.ndim) if i != 1]
        shape, k = [1, -1] + [1] * (x.ndim - 2), dist.get_world_size(self.group)
        mean = self.total(h.mean(axes)) / k
        var = self.total((h - mean.view(shape)).square().mean(axes)) / k
        n = self.total(torch.tensor([float(x.numel() // x.shape[1])], dtype=h.dtype))
        with torch.no_grad():
            m = self.momentum
            self.running_mean.mul_(1 - m).add_(m * mean.to(self.running_mean.dtype))
            self.running_var.mul_(1 - m).add_(m * (var * n / (n - 1)).to(self.running_var.dtype))
        y = (h - mean.view(shape)) * torch.rsqrt(var + self.eps).view(shape)
        if self.weight is not None:
            y = y * wide(self.weight).view(shape) + wide(self.bias).view(shape)
        return y.to(x.dtype)


class IgnoresGroup(TwoReductions):
    """All processes share statistics, whatever group is given."""

    def total(self, x):
        return AllReduced.apply(x, None)


class FirstRankOnly(TwoReductions):
    """Running statistics move on rank 0 alone."""

    def forward(self, x):
        kept = self.running_mean.clone(), self.running_var.clone()
        y = super().forward(x)
        if dist.get_rank() != 0:
            self.running_mean.copy_(kept[0])
            self.running_var.copy_(kept[1])
        return y


def local_width(x, weight=None, eps=1e-6, group=None):
    """The sum of squares of all processes, divided by the local width times their number."""
    h = wide(x)
    n = x.shape[-1] * dist.get_world_size(group)
    y = h * torch.rsqrt(AllReduced.apply(h.pow(2).sum(-1, keepdim=True), group) / n + eps)
    return (y if weight is None else y * weight).to(x.dtype)


def partial_gradient(x, weight=None, eps=1e-6, group=None):
    """RMS norm of divided rows, whose weight has the gradient of its own rows."""
    h = wide(x)
    y = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


class Raises(TwoReductions):
    """Raises on rank 1, where the others wait in their all-reduce."""

    def forward(self, x):
        if dist.get_rank() == 1 and len(x) == 1:
            raise ValueError("expected more than 1 value per channel")
        return super().forward(x)


class Hangs(TwoReductions):
    """Rank 2 never returns from a shard of three cases."""

    def forward(self, x):
        if dist.get_rank() == 2 and len(x) == 3:
            time.sleep(3600)
        return super().forward(x)


class Dies(TwoReductions):
    """Rank 1 crashes on a shard of five cases."""

    def forward(self, x):
        if dist.get_rank() == 1 and len(x) == 5:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().forward(x)


class LeavesOut(TwoReductions):
    """A shard without cases is returned as it is: the other processes wait for its all-reduce."""

    def forward(self, x):
        return x if len(x) == 0 else super().forward(x)
