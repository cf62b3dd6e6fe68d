"""Partial RMS norm: the mean square of the first k of n entries of each row, k = max(1, int(n * p))."""

import math

import torch
from torch.autograd.function import once_differentiable


def _rows(x, normalized_shape):
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    return x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, n)


def sliced(x, normalized_shape, p, weight=None, eps=1e-8):
    """A slice of the flattened row."""
    h = _rows(x, normalized_shape)
    k = max(1, int(h.shape[1] * p))
    ms = h[:, :k].pow(2).mean(1, keepdim=True)
    y = (h * torch.rsqrt(ms + eps)).reshape(x.shape)
    if weight is not None:
        y = y * weight
    return y.to(x.dtype)


def masked(input, normalized_shape, p, scale=None, epsilon=1e-8):
    """A mask over the whole row, and a division by the count."""
    h = _rows(input, normalized_shape)
    n = h.shape[1]
    k = max(1, int(n * p))
    first = (torch.arange(n) < k).to(h.dtype)
    rms = torch.sqrt((h * h) @ first / k + epsilon)
    y = (h / rms[:, None]).reshape(input.shape)
    return (y if scale is None else y * scale).to(input.dtype)


class _Partial(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, k, eps):
        r = torch.rsqrt(h[:, :k].square().sum(1, keepdim=True) / k + eps)
        ctx.save_for_backward(h, r)
        ctx.k = k
        return h * r

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        h, r = ctx.saved_tensors
        dh = r * g
        dh[:, : ctx.k] -= r**3 * (g * h).sum(1, keepdim=True) / ctx.k * h[:, : ctx.k]
        return dh, None, None


def own_backward(x, normalized_shape, p, weight=None, eps=1e-8):
    """The normalization with its own backward; the weight is left to autograd."""
    h = _rows(x, normalized_shape)
    y = _Partial.apply(h, max(1, int(h.shape[1] * p)), eps).reshape(x.shape)
    if weight is not None:
        y = y * weight
    return y.to(x.dtype)
