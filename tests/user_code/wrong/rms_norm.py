"""RMS norm with one fault in each function or class."""

import math

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def _axes(shape):
    return tuple(range(-1 if isinstance(shape, int) else -len(shape), 0))


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _scaled(y, weight, dtype):
    return (y if weight is None else y * _wide(weight)).to(dtype)


def eps_outside(x, normalized_shape, weight=None, eps=1e-6):
    """rms + eps."""
    h = _wide(x)
    rms = h.pow(2).mean(_axes(normalized_shape), keepdim=True).sqrt()
    return _scaled(h / (rms + eps), weight, x.dtype)


def eps_ignored(x, normalized_shape, weight=None, eps=1e-6):
    """Always 1e-6."""
    h = _wide(x)
    return _scaled(h * torch.rsqrt(h.pow(2).mean(_axes(normalized_shape), keepdim=True) + 1e-6), weight, x.dtype)


def mean_subtracted(x, normalized_shape, scale=None, eps=1e-6):
    """Variance in place of the mean square."""
    h = _wide(x)
    variance = torch.var(h, _axes(normalized_shape), unbiased=False, keepdim=True)
    return _scaled(h * torch.rsqrt(variance + eps), scale, x.dtype)


def weight_offset(x, normalized_shape, weight=None, eps=1e-6):
    """Multiplies by 1 + weight."""
    h = _wide(x)
    y = h * torch.rsqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + eps)
    if weight is not None:
        y = y * (1 + _wide(weight))
    return y.to(x.dtype)


def weight_ignored(x, normalized_shape, weight=None, eps=1e-6):
    """The weight is taken and not used."""
    h = _wide(x)
    return (h / torch.sqrt((h * h).mean(_axes(normalized_shape), keepdim=True) + eps)).to(x.dtype)


def first_row(x, normalized_shape, weight=None, eps=1e-6):
    """The root mean square of row 0 serves every row."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    rows = _wide(x).reshape(-1, n)
    return _scaled((rows / torch.sqrt(rows[0].square().mean() + eps)).reshape(x.shape), weight, x.dtype)


def through_float32(input, normalized_shape, weight=None, eps=1e-6):
    """The Llama code as it stands: float32 even for float64."""
    h = input.to(torch.float32)
    h = h * torch.rsqrt(h.pow(2).mean(_axes(normalized_shape), keepdim=True) + eps)
    h = h.to(input.dtype)
    return h if weight is None else weight * h


def running_sum_in_half(x, normalized_shape, weight=None, eps=1e-6):
    """The sum of squares is kept in the input's type."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    rows = x.reshape(-1, n)
    total = torch.zeros_like(rows[:, 0])
    for column in rows.unbind(1):
        total = total + column * column
    y = _wide(rows) * torch.rsqrt(_wide(total) / n + eps)[:, None]
    return _scaled(y.reshape(x.shape), weight, x.dtype)


def square_not_root(x, normalized_shape, weight=None, eps=1e-6):
    """Divides by the mean square."""
    h = _wide(x)
    return _scaled(h / (h.square().mean(_axes(normalized_shape), keepdim=True) + eps), weight, x.dtype)


def wrong_axis(x, normalized_shape, g=None, eps=1e-6):
    """Mean square over the first axis."""
    h = _wide(x)
    return _scaled(h * torch.rsqrt(h.square().mean(0, keepdim=True) + eps), g, x.dtype)


class _NoProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, axes, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(axes, keepdim=True) + eps)
        ctx.save_for_backward(h, rstd, weight)
        ctx.dtype = x.dtype
        return _scaled(h * rstd, weight, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, rstd, weight = ctx.saved_tensors
        dy = _wide(dy)
        dx = dy * rstd if weight is None else dy * _wide(weight) * rstd
        dw = None if weight is None else (dy * h * rstd).reshape(-1, *weight.shape).sum(0).to(weight.dtype)
        return dx.to(ctx.dtype), None, dw, None


def no_projection(x, normalized_shape, weight=None, eps=1e-6):
    """The backward takes the root mean square as a constant."""
    return _NoProjection.apply(x, _axes(normalized_shape), weight, eps)


class _Backward(torch.autograd.Function):
    """dx is right or forgets the weight, the weight's gradient is right or taken from x."""

    @staticmethod
    def forward(ctx, x, axes, weight, eps, forget_weight, raw_input):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(axes, keepdim=True) + eps)
        ctx.save_for_backward(h, rstd, weight)
        ctx.settings = axes, forget_weight, raw_input, x.dtype
        return _scaled(h * rstd, weight, x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, rstd, weight = ctx.saved_tensors
        axes, forget_weight, raw_input, dtype = ctx.settings
        dy, xhat = _wide(dy), h * rstd
        g = dy if weight is None or forget_weight else dy * _wide(weight)
        dx = rstd * (g - xhat * (g * xhat).mean(axes, keepdim=True))
        dw = None
        if weight is not None:
            dw = (dy * (h if raw_input else xhat)).reshape(-1, *weight.shape).sum(0).to(weight.dtype)
        return dx.to(dtype), None, dw, None, None, None


def dx_without_weight(x, normalized_shape, weight=None, eps=1e-6):
    return _Backward.apply(x, _axes(normalized_shape), weight, eps, True, False)


def weight_gradient_from_input(x, normalized_shape, weight=None, eps=1e-6):
    return _Backward.apply(x, _axes(normalized_shape), weight, eps, False, True)


class GemmaRMSNorm(nn.Module):
    """Multiplies by 1 + weight."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x):
        h = _wide(x)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)
        return (h * (1.0 + _wide(self.weight))).to(x.dtype)


class LlamaRMSNorm(nn.Module):
    """Float64 goes through float32."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)


def partial_eps_outside(x, normalized_shape, p, weight=None, eps=1e-8):
    """Partial RMS norm with rms + eps."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    rows = _wide(x).reshape(-1, n)
    first = rows[:, : max(1, int(n * p))]
    rms = torch.linalg.vector_norm(first, dim=1, keepdim=True) / math.sqrt(first.shape[1])
    return _scaled((rows / (rms + eps)).reshape(x.shape), weight, x.dtype)


def partial_detached(x, normalized_shape, p, weight=None, eps=1e-8):
    """Partial RMS norm without the gradient through the mean square."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    rows = _wide(x).reshape(-1, n)
    ms = rows[:, : max(1, int(n * p))].detach().square().mean(1, keepdim=True)
    return _scaled((rows * torch.rsqrt(ms + eps)).reshape(x.shape), weight, x.dtype)
