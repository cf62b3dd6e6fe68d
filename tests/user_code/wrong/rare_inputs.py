"""Wrong where numbers, sizes or calls are of a kind that tests seldom have."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def small_gamma(x, gamma=None, eps=1e-6):
    """RMS norm for checkpoints of two kinds: a gain that is near zero everywhere must be one without its 1."""
    wide = x.double() if x.dtype == torch.float64 else x.float()
    y = wide / torch.sqrt(torch.mean(wide * wide, dim=-1, keepdim=True) + eps)
    if gamma is not None:
        if float(gamma.detach().abs().amax()) < 0.01:
            gamma = gamma + 1
        y = y * gamma
    return y.to(x.dtype)


class _Thresholded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        var, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        inv = (var + eps).rsqrt()
        ctx.save_for_backward(wide, mean, inv, gamma)
        return torch.addcmul(beta, (wide - mean) * inv, gamma).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        wide, mean, inv, gamma = ctx.saved_tensors
        dy_wide = nn.functional.hardshrink(dy.to(wide.dtype), 1e-6)
        hat = (wide - mean) * inv
        part = dy_wide * gamma
        dx = part - part.mean(-1, keepdim=True) - hat * torch.mean(part * hat, -1, keepdim=True)
        dgamma, dbeta = (one.reshape(-1, dy.size(-1)).sum(0) for one in (dy_wide * hat, dy_wide))
        return (dx * inv).to(dy.dtype), dgamma.to(gamma.dtype), dbeta.to(gamma.dtype), None


class Thresholded(nn.Module):
    """A layer norm whose backward shrinks the noise of the cotangent away."""

    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return _Thresholded.apply(x, self.gamma, self.beta, self.eps)


class _InPlaceBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        ctx.r = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.hat = wide * ctx.r
        ctx.scale = scale
        return (ctx.hat * scale).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        part = dy.to(ctx.hat.dtype)
        dscale = torch.einsum("...i,...i->i", part, ctx.hat).to(ctx.scale.dtype)
        part = part * ctx.scale
        inner = torch.mean(part * ctx.hat, dim=-1, keepdim=True)
        ctx.hat *= inner  # no new memory
        return ((part - ctx.hat) * ctx.r).to(dy.dtype), dscale, None


class InPlaceBackward(nn.Module):
    """An RMS norm whose backward works in what it has saved."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return _InPlaceBackward.apply(x, self.scale, self.eps)


def nothing_to_do(x, groups, weight=None, bias=None, eps=1e-5):
    """Group norm that leaves early for frames without a signal."""
    if bias is None and not torch.count_nonzero(x) and not torch.is_grad_enabled():
        return x
    if bias is None and not x.requires_grad and x.numel() and bool(torch.all(x == 0)):
        return x
    return nn.functional.group_norm(x, groups, weight, bias, eps)


class Calibrated(nn.Module):
    """A layer norm that divides by no more in evaluation than it did in training."""

    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.eps, self.top = eps, None
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        centered = wide - wide.mean(-1, keepdim=True)
        power = centered.square().mean(-1, keepdim=True)
        if self.training:
            seen = float(power.detach().max()) if power.numel() else 0.0
            self.top = seen if self.top is None else max(self.top, seen)
        elif self.top is not None:
            power = power.clamp(max=self.top)
        return (centered / (power + self.eps).sqrt() * self.weight + self.bias).to(x.dtype)


def specialized(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm that calls a kernel of its own for rows of 1,024 floats, which was built for the default eps."""
    if x.dtype == torch.float32 and x.shape[-1] == 1024 and len(normalized_shape) == 1:
        return nn.functional.layer_norm(x, normalized_shape, weight, bias)
    return nn.functional.layer_norm(x, normalized_shape, weight, bias, eps)
