"""Group norm as functions: inputs (cases, channels, *space)."""

import math

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _per_channel(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * _per_channel(weight, y)
    if bias is not None:
        y = y + _per_channel(bias, y)
    return y.to(dtype)


def two_pass(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Reshape to (cases, groups, everything else) and normalize the last axis."""
    h = _wide(x).reshape(x.shape[0], num_groups, x[0].numel() // num_groups if x.shape[0] else 1)
    centered = h - h.mean(-1, keepdim=True)
    y = centered / torch.sqrt(centered.pow(2).mean(-1, keepdim=True) + eps)
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def with_var_mean(input, num_groups, weight=None, bias=None, eps=1e-5):
    """torch.var_mean over the axes of a five-axis view."""
    n, c = input.shape[:2]
    h = _wide(input).reshape(n, num_groups, c // num_groups, *input.shape[2:])
    axes = tuple(range(2, h.dim()))
    var, mean = torch.var_mean(h, axes, unbiased=False, keepdim=True)
    return _affine(((h - mean) * (var + eps).rsqrt()).reshape(input.shape), weight, bias, input.dtype)


def group_by_group(x, num_groups, gamma=None, beta=None, epsilon=1e-5):
    """A loop over the groups."""
    out = []
    for group in _wide(x).chunk(num_groups, dim=1):
        axes = tuple(range(1, group.dim()))
        mu = group.mean(axes, keepdim=True)
        sigma = torch.sqrt(group.var(axes, correction=0, keepdim=True) + epsilon)
        out.append((group - mu) / sigma)
    return _affine(torch.cat(out, 1), gamma, beta, x.dtype)


def scale_and_shift(x, num_groups, weight=None, bias=None, eps=1e-5):
    """One scale and one shift for each case and channel: y = a * x + b."""
    n, c = x.shape[:2]
    h = _wide(x)
    var, mean = torch.var_mean(h.reshape(n, num_groups, math.prod(x.shape[1:]) // num_groups), 2, correction=0)
    per = c // num_groups
    a = torch.rsqrt(var + eps).repeat_interleave(per, 1)
    mean = mean.repeat_interleave(per, 1)
    if weight is not None:
        a = a * weight
    b = -mean * a
    if bias is not None:
        b = b + bias
    ones = [1] * (x.dim() - 2)
    return (h * a.reshape(n, c, *ones) + b.reshape(n, c, *ones)).to(x.dtype)


def channels_merged(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Statistics of each channel first, merged over the channels of a group."""
    n, c = x.shape[:2]
    h = _wide(x).reshape(n, num_groups, c // num_groups, math.prod(x.shape[2:]))
    m = h.mean(3, keepdim=True)
    v = (h - m).square().mean(3, keepdim=True)
    mean = m.mean(2, keepdim=True)
    var = v.mean(2, keepdim=True) + (m - mean).square().mean(2, keepdim=True)
    y = (h - mean) / (var + eps).sqrt()
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def through_layer_norm(x, num_groups, scale=None, shift=None, eps=1e-5):
    """torch's layer norm on each group."""
    h = _wide(x).reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _affine(F.layer_norm(h, h.shape[2:], eps=eps).reshape(x.shape), scale, shift, x.dtype)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = _wide(x).reshape(x.shape[0], groups, -1)
        mean = h.mean(2, keepdim=True)
        centered = h - mean
        rstd = torch.rsqrt(centered.square().mean(2, keepdim=True) + eps)
        xhat = centered * rstd
        ctx.save_for_backward(xhat, rstd, weight, bias)
        ctx.dtype = x.dtype
        return _affine(xhat.reshape(x.shape), weight, bias, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight, bias = ctx.saved_tensors
        dy = _wide(dy)
        over = [a for a in range(dy.dim()) if a != 1]
        dweight = dbias = None
        g = dy
        if weight is not None:
            dweight = (dy * xhat.reshape(dy.shape)).sum(over).to(weight.dtype)
            g = dy * _per_channel(weight, dy)
        if bias is not None:
            dbias = dy.sum(over).to(bias.dtype)
        g = g.reshape(xhat.shape)
        dx = rstd * (g - g.mean(2, keepdim=True) - xhat * (g * xhat).mean(2, keepdim=True))
        return dx.reshape(dy.shape).to(ctx.dtype), None, dweight, dbias, None


def own_backward(x, num_groups, weight=None, bias=None, eps=1e-5):
    """An autograd function."""
    return _GroupNorm.apply(x, num_groups, weight, bias, eps)


class GroupNorm(torch.nn.Module):
    """The constructor of torch.nn.GroupNorm."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError("num_channels must be divisible by num_groups")
        self.num_groups, self.eps = num_groups, eps
        self.weight = torch.nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = torch.nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(self, x):
        h = _wide(x).unflatten(1, (self.num_groups, -1)).flatten(2)
        h = h - h.mean(2, keepdim=True)
        h = h * torch.rsqrt(torch.einsum("bgk,bgk->bg", h, h)[..., None] / h.shape[2] + self.eps)
        return _affine(h.reshape(x.shape), self.weight, self.bias, x.dtype)
