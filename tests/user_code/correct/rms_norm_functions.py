"""RMS norm as functions, over the trailing axes."""

import math

import torch
from torch.autograd.function import once_differentiable


def _axes(normalized_shape):
    return tuple(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def upcast_all(x, normalized_shape, weight=None, eps=1e-6):
    """Everything in float32, the weight too; one rounding."""
    h = _wide(x)
    y = h / torch.sqrt((h * h).mean(_axes(normalized_shape), keepdim=True) + eps)
    if weight is not None:
        y = y * _wide(weight)
    return y.to(x.dtype)


def with_rsqrt(input, normalized_shape, scale=None, eps=None):
    """rsqrt of the mean square; eps=None means the machine epsilon of the type computed in."""
    h = _wide(input)
    if eps is None:
        eps = torch.finfo(h.dtype).eps
    y = h * torch.rsqrt(h.pow(2).mean(_axes(normalized_shape), keepdim=True) + eps)
    if scale is not None:
        y = y * scale
    return y.to(input.dtype)


def with_vector_norm(x, normalized_shape, weight=None, eps=1e-6):
    """From the Euclidean norm of each row."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    n = math.prod(h.shape[a] for a in axes)
    norm = torch.linalg.vector_norm(h, dim=axes, keepdim=True)
    y = h / torch.sqrt(norm**2 / n + eps)
    return (y if weight is None else y * weight).to(x.dtype)


def einsum_square(x, normalized_shape, g=None, epsilon=1e-6):
    """Sum of squares as a contraction of the row with itself."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    h = _wide(x).reshape(-1, n)
    ms = torch.einsum("rn,rn->r", h, h) / n
    y = (h * (ms + epsilon).rsqrt()[:, None]).reshape(x.shape)
    if g is not None:
        y = y * _wide(g)
    return y.to(x.dtype)


def block_sums(x, normalized_shape, weight=None, eps=1e-6):
    """Sum of squares block by block."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    h = _wide(x).reshape(-1, n)
    total = h.new_zeros(h.shape[0], 1)
    for block in h.split(64, dim=1):
        total = total + (block * block).sum(1, keepdim=True)
    y = (h / (total / n + eps).sqrt()).reshape(x.shape)
    if weight is not None:
        y = y * _wide(weight)
    return y.to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, normalized_shape, weight, eps):
        axes = _axes(normalized_shape)
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(axes, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, rstd)
        ctx.axes = axes
        y = h * rstd
        if weight is not None:
            y = y * _wide(weight)
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        xhat = _wide(x) * rstd
        dy = _wide(dy)
        g = dy if weight is None else dy * _wide(weight)
        dx = rstd * (g - xhat * (g * xhat).mean(ctx.axes, keepdim=True))
        dweight = None
        if weight is not None:
            dweight = (dy * xhat).reshape(-1, *weight.shape).sum(0).to(weight.dtype)
        return dx.to(x.dtype), None, dweight, None


def own_backward(x, normalized_shape, weight=None, eps=1e-6):
    """An autograd function with the closed-form backward."""
    return _RMSNorm.apply(x, normalized_shape, weight, eps)


class _RawSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, n, eps):
        h = _wide(x).reshape(-1, n)
        r = 1 / ((h * h).sum(1, keepdim=True) / n + eps).sqrt()
        ctx.save_for_backward(h, weight, r)
        ctx.dtype = x.dtype
        y = h * r if weight is None else h * r * _wide(weight).reshape(-1)
        return y.reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, weight, r = ctx.saved_tensors
        n = h.shape[1]
        d = _wide(dy).reshape(h.shape)
        g = d if weight is None else d * _wide(weight).reshape(-1)
        c2 = -(g * h).sum(1, keepdim=True) * r**3 / n
        dx = (r * g + c2 * h).reshape(dy.shape).to(ctx.dtype)
        dw = None if weight is None else (d * h * r).sum(0).reshape(weight.shape).to(weight.dtype)
        return dx, dw, None, None


def raw_sums(x, normalized_shape, weight=None, eps=1e-6):
    """dx = c1 * dy + c2 * x."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    return _RawSums.apply(x, weight, n, eps)


def scaled_by_maximum(x, normalized_shape, weight=None, eps=1e-6):
    """Divides by a power of two near the largest entry before squaring, against overflow."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    largest = h.detach().abs().amax(axes, keepdim=True).clamp_min(1e-3)
    unit = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent)
    s = h / unit
    y = s / torch.sqrt(s.square().mean(axes, keepdim=True) + eps / unit**2)
    return (y if weight is None else y * _wide(weight)).to(x.dtype)
