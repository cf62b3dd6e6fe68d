"""The right operations in the wrong order, on the wrong part, or with the wrong number."""

import torch
from torch import nn


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _axes(normalized_shape):
    return tuple(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))


def weight_first(input, normalized_shape, weight=None, eps=1e-6):
    """The weight is folded into the input, to save a pass."""
    h = _up(input)
    h = h if weight is None else h * weight
    return (h * torch.rsqrt(h.pow(2).mean(_axes(normalized_shape), keepdim=True) + eps)).to(input.dtype)


class GainFirst(nn.Module):
    """Layer norm: gain, then statistics, then bias."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.axes, self.eps = _axes(normalized_shape), eps
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))

    def forward(self, x):
        h = _up(x) * self.weight
        var, mean = torch.var_mean(h, self.axes, correction=0, keepdim=True)
        return ((h - mean) / torch.sqrt(var + self.eps) + self.bias).to(x.dtype)


def eps_at_the_end(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A bracket is missing."""
    h, axes = _up(x), _axes(normalized_shape)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    y = (h - mean) / torch.sqrt(var) + eps
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).to(x.dtype)


def groups_and_eps_at_the_end(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _up(x).reshape(x.shape[0], num_groups, -1)
    y = (h - h.mean(-1, keepdim=True)) / h.var(-1, unbiased=False, keepdim=True).sqrt() + eps
    y = y.reshape(x.shape)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return (y if bias is None else y + bias.reshape(shape)).to(x.dtype)


def _last_block(h, block):
    """A loop over blocks that sets its sum to 0 where it should add."""
    total = torch.zeros_like(h[..., :1])
    for part in h.split(block, -1):
        total = part.sum(-1, keepdim=True)
    return total


def sum_of_last_block(input, normalized_shape, weight=None, eps=1e-6):
    axes = _axes(normalized_shape)
    h = _up(input).flatten(-len(axes))
    h = h * torch.rsqrt(_last_block(h * h, 1024) / h.shape[-1] + eps)
    h = h.reshape(input.shape)
    return (h if weight is None else h * weight).to(input.dtype)


def sums_of_last_block(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Both sums begin again every 256 members."""
    axes = _axes(normalized_shape)
    h = _up(x).flatten(-len(axes))
    n = h.shape[-1]
    h = h - _last_block(h, 256) / n
    h = (h * torch.rsqrt(_last_block(h * h, 256) / n + eps)).reshape(x.shape)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def norm_for_g(v, g, dim=0):
    """The norm is computed twice and g never used."""
    h = _up(v)
    axes = [a for a in range(v.dim()) if dim is None or a != dim % v.dim()]
    norm = h.square().sum(axes, keepdim=True).sqrt() if axes else h.abs()
    return (h * norm / norm).to(v.dtype)
