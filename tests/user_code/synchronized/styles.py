"""Divided norms in styles of libraries: a hand-written backward, merged counts, handles, functional collectives."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
import torch.distributed.nn as differentiable
import torch.nn.functional as F
from right import Gathered, wide
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class FromStatistics(torch.autograd.Function):
    """As in apex: statistics come from outside, and two asynchronous sums are in the backward."""

    @staticmethod
    def forward(ctx, x, weight, bias, mean, var, n, eps, group):
        ctx.save_for_backward(x, weight, mean, var, n)
        ctx.eps, ctx.group, ctx.shape = eps, group, [1, -1] + [1] * (x.dim() - 2)
        y = (x - mean.view(ctx.shape)) * (var + eps).rsqrt().view(ctx.shape)
        return y if weight is None else y * weight.view(ctx.shape) + bias.view(ctx.shape)

    @staticmethod
    def count(g, n, group):
        return n

    @classmethod
    def slopes(cls, ctx, g, centered, n):
        sums = [g.sum(ctx.dims), (g * centered).sum(ctx.dims)]
        for handle in [dist.all_reduce(one, group=ctx.group, async_op=True) for one in sums]:
            handle.wait()
        return [(one / cls.count(g, n, ctx.group)).view(ctx.shape) for one in sums]

    @classmethod
    def gradients(cls, ctx, dy):
        x, weight, mean, var, n = ctx.saved_tensors
        ctx.dims = [0, *range(2, x.dim())]
        rstd, centered = (var + ctx.eps).rsqrt(), x - mean.view(ctx.shape)
        g = dy if weight is None else dy * weight.view(ctx.shape)
        level, slope = cls.slopes(ctx, g, centered, n)
        dx = (g - level - centered * slope / (var + ctx.eps).view(ctx.shape)) * rstd.view(ctx.shape)
        dw = None if weight is None else (dy * centered).sum(ctx.dims) * rstd
        return dx, dw, None if weight is None else dy.sum(ctx.dims), None, None, None, None, None

    @staticmethod
    def backward(ctx, dy):
        return FromStatistics.gradients(ctx, dy)


class HandWritten(_BatchNorm):
    function = FromStatistics

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, process_group=None):
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.process_group = process_group

    def forward(self, x):
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        h = wide(x)
        with torch.no_grad():
            flat = h.transpose(0, 1).reshape(self.num_features, -1)
            sums = torch.cat([flat.sum(1), flat.new_tensor([flat.shape[1]])])
            dist.all_reduce(sums, group=self.process_group)
            mean, n = sums[:-1] / sums[-1], sums[-1]
            squares = (flat - mean[:, None]).square().sum(1)
            dist.all_reduce(squares, group=self.process_group)
            var = squares / n
            self.running_mean.copy_(self.momentum * mean + (1 - self.momentum) * self.running_mean)
            self.running_var.copy_(self.momentum * var * n / (n - 1) + (1 - self.momentum) * self.running_var)
        parameters = (None, None) if self.weight is None else (wide(self.weight), wide(self.bias))
        return self.function.apply(h, *parameters, mean, var, n, self.eps, self.process_group).to(x.dtype)


class Merged(nn.Module):
    """Counts, means and sums of squares of all processes are gathered, and merged one after the other (Welford)."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__()
        self.num_features, self.eps, self.momentum, self.process_group = num_features, eps, momentum, process_group
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def statistics(self, flat):
        """Count, mean and variance, and the mean that moves the running one."""
        n = flat.shape[1]
        mean = flat.sum(1) / max(n, 1)
        own = torch.stack([torch.full_like(mean, n), mean, (flat - mean[:, None]).square().sum(1)])
        count, mean, squares = torch.zeros_like(own)
        for one, other, more in Gathered.apply(own[None], self.process_group):
            total = count + one
            delta, share = other - mean, one / total.clamp(min=1)
            mean, squares = mean + delta * share, squares + more + delta.square() * count * share
            count = total
        return count, mean, squares / count

    def moved(self, count, mean, var):
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((var * count / (count - 1)).to(self.running_var.dtype), self.momentum)

    def forward(self, x):
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        flat = wide(x).movedim(1, 0).reshape(self.num_features, -1)
        count, mean, var = self.statistics(flat)
        self.moved(count, mean, var)
        y = (flat - mean[:, None]) * (var[:, None] + self.eps).rsqrt()
        if self.weight is not None:
            y = y * wide(self.weight)[:, None] + wide(self.bias)[:, None]
        return y.reshape(self.num_features, x.shape[0], *x.shape[2:]).movedim(0, 1).to(x.dtype)


class Functional(torch.autograd.Function):
    """A functional collective, whose result is waited for when it is used."""

    @staticmethod
    def forward(ctx, x, group):
        ctx.group = dist.group.WORLD if group is None else group
        return funcol.wait_tensor(funcol.all_reduce(x, "sum", ctx.group))

    @staticmethod
    def backward(ctx, g):
        return funcol.wait_tensor(funcol.all_reduce(g.contiguous(), "sum", ctx.group)), None


class WidthDivided(nn.Module):
    def __init__(self, dim, eps=1e-6, tp_group=None):
        super().__init__()
        self.eps, self.tp_group, self.weight = eps, tp_group, nn.Parameter(torch.ones(dim))

    def mean_square(self, h):
        n = Functional.apply(torch.tensor(float(h.shape[-1]), dtype=h.dtype), self.tp_group)
        return Functional.apply(h.pow(2).sum(-1, keepdim=True), self.tp_group) / n

    def normalized(self, h):
        return h * torch.rsqrt(self.mean_square(h) + self.eps)

    def forward(self, x):
        return self.normalized(wide(x)).type_as(x) * self.weight


def of_torch(x, weight=None, eps=1e-6):
    """The all-reduce of torch.distributed.nn, which autograd differentiates."""
    h = wide(x)
    n = torch.tensor(float(x.shape[-1]), dtype=h.dtype)
    dist.all_reduce(n)
    y = h * torch.rsqrt(differentiable.all_reduce(h.pow(2).sum(-1, keepdim=True)) / n + eps)
    return (y if weight is None else y * weight).to(x.dtype)


class Copied(torch.autograd.Function):
    """The parameter itself; its gradient is summed."""

    @staticmethod
    def forward(ctx, parameter, group):
        ctx.group = group
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx, g):
        g = g.clone()
        dist.all_reduce(g, group=ctx.group)
        return g, None


def weight_required(x, weight, bias, eps, sp_group=None):
    """It takes no None for its weight, and does not say that it does."""
    return F.layer_norm(x, weight.shape, Copied.apply(weight, sp_group), Copied.apply(bias, sp_group), eps)


def weight_may_be_none(x, weight=None, bias=None, eps=1e-5, sp_group=None):
    """Wrong: it says that it takes None."""
    return weight_required(x, weight, bias, eps, sp_group)


def bias_forgotten(x, weight, bias, eps, sp_group=None):
    """Wrong: the gradient of the bias is that of the own rows."""
    return F.layer_norm(x, weight.shape, Copied.apply(weight, sp_group), bias, eps)


class TimesRanks(FromStatistics):
    @staticmethod
    def count(g, n, group):
        return g.numel() / g.shape[1] * dist.get_world_size(group)

    @staticmethod
    def backward(ctx, dy):
        return TimesRanks.gradients(ctx, dy)


class BackwardTimesRanks(HandWritten):
    """Wrong: in the backward all shards are taken to be of one size."""

    function = TimesRanks


class ReadTooEarly(Merged):
    """Wrong: the mean is read before its sum is."""

    def statistics(self, flat):
        sums = torch.cat([flat.sum(1), flat.new_tensor([flat.shape[1]])]).detach()
        own = sums.clone()
        handle = dist.all_reduce(sums, group=self.process_group, async_op=True)
        mean = own[:-1] / own[-1].clamp(min=1)
        handle.wait()
        var = Functional.apply((flat - mean[:, None]).square().sum(1), self.process_group) / sums[-1]
        self.joined_mean = sums[:-1] / sums[-1]
        return sums[-1], mean, var

    def moved(self, count, mean, var):
        super().moved(count, self.joined_mean, var)


class FirstRankStatistics(Merged):
    """Wrong: the statistics of the first process are those of all."""

    def statistics(self, flat):
        group = self.process_group or dist.group.WORLD
        own = torch.cat([flat.mean(1), flat.var(1, unbiased=False), flat.new_tensor([flat.shape[1]])]).detach()
        dist.broadcast(own, dist.get_global_rank(group, 0), group=group)
        mean, var = own[:-1].chunk(2)
        return own[-1], mean, var


class OneVariance(Merged):
    """Wrong: what moves the running variance normalizes too."""

    def statistics(self, flat):
        count, mean, var = super().statistics(flat)
        return count, mean, var * count / (count - 1)

    def moved(self, count, mean, var):
        super().moved(count, mean, var * (count - 1) / count)


class EpsOutside(WidthDivided):
    """Wrong: eps is added to the root."""

    def normalized(self, h):
        return h / (self.mean_square(h).sqrt() + self.eps)
