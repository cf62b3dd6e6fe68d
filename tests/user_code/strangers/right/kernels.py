"""Kernels written out in plain code, and gradients by hand."""

import math

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def tiles_of_1024(input, normalized_shape, weight=None, eps=1e-6):
    """RMS norm: squares are summed tile by tile; the tail is padded with zeros, which add nothing."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    padded = torch.nn.functional.pad(h, (0, -n % 1024))
    total = padded.square().reshape(len(h), -1, 1024).sum(2).sum(1, keepdim=True) if n else h.new_zeros(len(h), 1)
    y = (h * torch.rsqrt(total / n + eps)).reshape(input.shape)
    return (y if weight is None else y * weight).to(input.dtype)


def masked_lanes(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm: rows are padded to a power of two, and the mask is applied after the mean is subtracted."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    width = 1 << (n - 1).bit_length()
    h = torch.nn.functional.pad(h, (0, width - n))
    mask = (torch.arange(width) < n).to(h.dtype)
    centered = (h - h.sum(1, keepdim=True) / n) * mask
    y = centered * torch.rsqrt(centered.square().sum(1, keepdim=True) / n + eps)
    y = y[:, :n].reshape(input.shape)
    if weight is not None:
        y = y * weight
    return (y if bias is None else y + bias).to(input.dtype)


class _LayerNorm(Function):
    """Rows by tiles of 64; partial sums of the parameters' gradients, one for each tile, in a wide format."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(1, keepdim=True) + eps)
        ctx.save_for_backward(x, mean, rstd, weight)
        return ((h - mean) * rstd * weight + bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, mean, rstd, weight = ctx.saved_tensors
        g, xhat = _wide(dy), (_wide(x) - mean) * rstd
        gw = g * weight
        dx = rstd * (gw - gw.mean(1, keepdim=True) - xhat * (gw * xhat).mean(1, keepdim=True))
        if not len(x):
            return dx.to(x.dtype), torch.zeros_like(weight), torch.zeros_like(weight), None
        dw = torch.stack([tile.sum(0) for tile in (g * xhat).split(64)]).sum(0)
        db = torch.stack([tile.sum(0) for tile in g.split(64)]).sum(0)
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm_by_hand(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = input.new_ones(n) if weight is None else weight.reshape(n)
    b = input.new_zeros(n) if bias is None else bias.reshape(n)
    return _LayerNorm.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _RMSNorm(Function):
    """Recomputes the scale in the backward pass; any leading axes."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.eps = eps
        ctx.save_for_backward(x, weight)
        h = _wide(x)
        return (h * torch.rsqrt(h.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        h, g = _wide(x), _wide(dy)
        r = torch.rsqrt(h.square().mean(-1, keepdim=True) + ctx.eps)
        xhat, gw = h * r, g * weight
        dx = r * (gw - xhat * (gw * xhat).mean(-1, keepdim=True))
        dw = (g * xhat).reshape(-1, g.shape[-1]).sum(0)
        return dx.to(x.dtype), dw.to(weight.dtype), None


def rms_norm_by_hand(x, weight, eps=1e-6):
    return _RMSNorm.apply(x, weight, eps)


class _GroupNorm(Function):
    """Group norm: sums over space first, then over the channels of a group."""

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = _wide(x).reshape(x.shape[0], groups, -1)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        xhat = ((h - mean) * rstd).reshape(x.shape)
        ctx.groups = groups
        ctx.save_for_backward(xhat, rstd, weight)
        view = (1, -1) + (1,) * (x.dim() - 2)
        return (xhat * weight.view(view) + bias.view(view)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight = ctx.saved_tensors
        g, view = _wide(dy), (1, -1) + (1,) * (dy.dim() - 2)
        axes = (0, *range(2, g.dim()))
        gw = (g * weight.view(view)).reshape(len(g), ctx.groups, -1)
        own = xhat.reshape(gw.shape)
        dx = rstd * (gw - gw.mean(-1, keepdim=True) - own * (gw * own).mean(-1, keepdim=True))
        dw, db = (g * xhat).sum(axes), g.sum(axes)
        return dx.reshape(g.shape).to(dy.dtype), None, dw.to(weight.dtype), db.to(weight.dtype), None


def group_norm_by_hand(input, num_groups, weight=None, bias=None, eps=1e-5):
    c = input.shape[1]
    if not len(input):
        return input * 1
    w = input.new_ones(c) if weight is None else weight
    b = input.new_zeros(c) if bias is None else bias
    return _GroupNorm.apply(input, num_groups, w, b, eps)


def weight_norm_by_rows(v, g):
    """Weight norm over dim 0."""
    h = _wide(v)
    norm = h.abs() if v.dim() == 1 else torch.linalg.vector_norm(h, dim=tuple(range(1, v.dim())), keepdim=True)
    return (h * (g.to(h.dtype) / norm)).to(v.dtype)


class _WeightNorm(Function):
    @staticmethod
    def forward(ctx, v, g):
        norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
        ctx.save_for_backward(v, g, norm)
        return v * (g / norm)

    @staticmethod
    @once_differentiable
    def backward(ctx, dw):
        v, g, norm = ctx.saved_tensors
        unit = v / norm
        along = (dw * unit).sum(1, keepdim=True)
        return g / norm * (dw - along * unit), along


def weight_norm_by_hand(v, g):
    """Weight norm over dim 0."""
    return _WeightNorm.apply(_wide(v).reshape(len(v), -1), _wide(g).reshape(len(v), 1)).reshape(v.shape).to(v.dtype)
