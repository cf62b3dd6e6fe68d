"""Faults written once more, for other layers and in other ways; measured before anything was made to fit them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def _f(x):
    return x if x.dtype == torch.float64 else x.float()


def _c(p, x):
    return _f(p)[(None, slice(None)) + (None,) * (x.dim() - 2)]


def _channelwise(h, weight, bias):
    if weight is not None:
        h = h * _c(weight, h)
    if bias is not None:
        h = h + _c(bias, h)
    return h


class _BN(torch.autograd.Function):
    """Batch norm in training as the paper's equations have it; `how` names the line that is wrong."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps, how):
        axes = [0, *range(2, x.dim())]
        mu = x.mean(axes, keepdim=True)
        var = ((x - mu) ** 2).mean(axes, keepdim=True)
        ctx.save_for_backward(x, mu, var, weight)
        ctx.eps, ctx.how, ctx.bias = eps, how, bias is not None
        return _channelwise((x - mu) / torch.sqrt(var + eps), weight, bias)

    @staticmethod
    def backward(ctx, dy):
        x, mu, var, weight = ctx.saved_tensors
        how, axes = ctx.how, [0, *range(2, x.dim())]
        m = x.numel() // x.shape[1]
        std = torch.sqrt(var + (0 if how == "eps" else ctx.eps))
        xhat = (x - mu) / torch.sqrt(var + ctx.eps)
        dxhat = dy if weight is None else dy * _c(weight, x)
        dvar = (dxhat * (x - mu) * -0.5 * std**-3).sum(axes, keepdim=True)
        dmu = (-dxhat / std).sum(axes, keepdim=True)
        if how == "mean twice":
            dmu = 2 * dmu
        dx = dxhat / std + dvar * 2 * (x - mu) / (m - 1 if how == "bessel" else m) + dmu / m
        if how == "weight twice" and weight is not None:
            dx = dx * _c(weight, x)
        if how == "no scale":
            dx = dx * std
        dw = None if weight is None else (dy * xhat).sum(axes)
        db = dy.sum(axes) if ctx.bias else None
        if how == "mean" and dw is not None:
            dw = dw / m
        if how == "no bias":
            db = None
        if how == "swapped" and dw is not None and db is not None:
            dw, db = db, dw
        return dx, dw, db, None, None


def _batch_norm(how):
    def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
        h = _f(x)
        if not training and running_mean is not None:
            h = (h - _c(running_mean, x)) / torch.sqrt(_c(running_var, x) + eps)
            return _channelwise(h, weight, bias).to(x.dtype)
        if running_mean is not None:
            with torch.no_grad():
                axes = [0, *range(2, x.dim())]
                n = x.numel() // x.shape[1]
                var, mean = torch.var_mean(h, axes, correction=0)
                running_mean += momentum * (mean - running_mean)
                running_var += momentum * (var * (n / max(1, n - 1)) - running_var)
        weight, bias = (None if p is None else _f(p) for p in (weight, bias))
        return _BN.apply(h, weight, bias, eps, how).to(x.dtype)

    return batch_norm


mean_twice = _batch_norm("mean twice")
bessel = _batch_norm("bessel")
no_eps = _batch_norm("eps")
weight_twice = _batch_norm("weight twice")
no_scale = _batch_norm("no scale")
weight_averaged = _batch_norm("mean")
no_bias_gradient = _batch_norm("no bias")
swapped = _batch_norm("swapped")


class _WN(torch.autograd.Function):
    """Weight norm along axis 0."""

    @staticmethod
    def forward(ctx, v, g, how):
        norm = v.flatten(1).norm(dim=1).reshape([-1] + [1] * (v.dim() - 1)) if v.dim() > 1 else v.abs()
        ctx.save_for_backward(v, g, norm)
        ctx.how = how
        return v * (g / norm)

    @staticmethod
    def backward(ctx, dw):
        v, g, norm = ctx.saved_tensors
        dg = ((dw * v).sum_to_size(norm.shape) if v.dim() > 1 else dw * v) / norm
        sign = 1 if ctx.how == "sign" else -1
        dv = g / norm * dw + sign * g * dg / norm**2 * v
        if ctx.how == "undivided":
            dv = dv * norm
        if ctx.how == "nothing":
            dv = torch.zeros_like(v)
        return dv, None if ctx.how == "no length" else dg, None


def _weight_norm(how):
    def weight_norm(v, g):
        return _WN.apply(_f(v), _f(g), how).to(v.dtype)

    return weight_norm


direction_sign = _weight_norm("sign")
direction_undivided = _weight_norm("undivided")
direction_missing = _weight_norm("nothing")
length_missing = _weight_norm("no length")


def instance_of_the_batch(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):  # fmt: skip
    """Instance norm that calls batch norm."""
    h = _f(input)
    mean, var, w, b = (None if t is None else t.to(h.dtype) for t in (running_mean, running_var, weight, bias))
    y = F.batch_norm(h, mean, var, w, b, use_input_stats or mean is None, momentum, eps)
    if use_input_stats and running_mean is not None:
        running_mean.copy_(mean)
        running_var.copy_(var)
    return y.to(input.dtype)


def shrunk(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _f(x)
    h = F.group_norm(h, num_groups, *(None if p is None else p.to(h.dtype) for p in (weight, bias)), eps)
    return F.hardshrink(h, 0.01).to(x.dtype)


class NanToNum(nn.Module):
    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        self.inner = nn.GroupNorm(num_groups, num_channels, eps, affine)
        self.weight, self.bias = self.inner.weight, self.inner.bias

    def forward(self, x):
        h = _f(x)
        h = torch.nan_to_num(h, nan=0.0, posinf=math.inf, neginf=-math.inf)
        given = (None if p is None else p.to(h.dtype) for p in (self.weight, self.bias))
        return F.group_norm(h, self.inner.num_groups, *given, self.inner.eps).to(x.dtype)


def half_squares(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The deviations are cast back before they are squared."""
    h = _f(x).reshape(len(x), num_groups, -1)
    c = h - h.mean(-1, keepdim=True)
    var = (c.to(x.dtype) ** 2).to(h.dtype).mean(-1, keepdim=True)
    return _channelwise((c / torch.sqrt(var + eps)).reshape(x.shape), weight, bias).to(x.dtype)


def group_half_eps(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _f(x).reshape(len(x), num_groups, -1)
    var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
    eps = x.new_full((), eps)
    return _channelwise(((h - mean) / torch.sqrt(var + eps)).reshape(x.shape), weight, bias).to(x.dtype)


def group_divided_by_block(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _f(x).reshape(len(x), num_groups, -1)
    n = h.shape[-1]
    block = 1 << max(0, (n - 1).bit_length())
    c = h - h.sum(-1, keepdim=True) / block
    rstd = torch.rsqrt((c * c).sum(-1, keepdim=True) / n + eps)
    return _channelwise((c * rstd).reshape(x.shape), weight, bias).to(x.dtype)


def numpy_view(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Goes through a flat buffer, as the C code does."""
    if not x.is_contiguous() and x.numel():
        size = x.numel() + x.storage_offset()
        memory = torch.zeros(max(size, x.untyped_storage().nbytes() // x.element_size()), dtype=x.dtype)
        own = x.as_strided((x.untyped_storage().nbytes() // x.element_size(),), (1,), 0)
        memory = torch.cat([own, memory[len(own) :]])
        x = memory[x.storage_offset() : size].reshape(x.shape)
    h = _f(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return F.layer_norm(h, shape, *(None if p is None else p.to(h.dtype) for p in (weight, bias)), eps).to(x.dtype)


class Ema(nn.Module):
    """Batch norm whose habits are options of the constructor, one bad one at a time."""

    late = drift = floor = zero_start = False

    def __init__(self, channels, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        if affine:
            self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        else:
            self.gamma = self.beta = None
        if track_running_stats:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.zeros(channels) if self.zero_start else torch.ones(channels))
            self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))
        else:
            self.running_mean = self.running_var = None
        self.mode = None

    def average(self, mean, var, n):
        self.num_batches_tracked += 1
        a = self.momentum if self.momentum is not None else 1.0 / self.num_batches_tracked.item()
        var = var * n / (n - 1) if n > 1 else var
        self.running_mean.mul_(1 - a).add_(a * mean)
        self.running_var.mul_(1 - a).add_(a * var)
        if self.floor:
            self.running_var.clamp_(min=self.eps * 100)

    def forward(self, x):
        h = _f(x)
        axes = [0, *range(2, h.dim())]
        before, self.mode = self.mode, self.training
        own = self.running_mean is None or self.training
        if own:
            var, mean = torch.var_mean(h, axes, correction=0)
        else:
            mean, var = self.running_mean.clone(), self.running_var.clone()
        moves = self.training or (self.late and before is True) or (self.drift and before is False)
        if self.running_mean is not None and moves and h.numel():
            with torch.no_grad():
                seen = torch.var_mean(h, axes, correction=0)
                self.average(seen[1], seen[0], h.numel() // h.shape[1])
        h = (h - _c(mean, h)) * torch.rsqrt(_c(var, h) + self.eps)
        return _channelwise(h, self.gamma, self.beta).to(x.dtype)


class EmaLate(Ema):
    late = True


class EmaDrift(Ema):
    drift = True


class EmaFloor(Ema):
    floor = True


class EmaZeroStart(Ema):
    zero_start = True


def three_deviations(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Winsorized at fifty times the mean absolute value of the median half."""
    dims = tuple(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))
    h = _f(x)
    rows = h.reshape(-1, math.prod(h.shape[len(h.shape) - len(dims) :]))
    if rows.numel():
        with torch.no_grad():
            middle = torch.quantile(rows.double().abs(), 0.5, dim=1, keepdim=True).to(rows.dtype)
        rows = torch.where(middle > 0, rows.clamp(-500 * middle, 500 * middle), rows)
    var, mean = torch.var_mean(rows, 1, correction=0, keepdim=True)
    h = ((rows - mean) / torch.sqrt(var + eps)).reshape(h.shape)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


class StatelessInference(nn.Module):
    """model.eval() and no_grad take a path through numpy, in float32."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x):
        if torch.is_grad_enabled():
            h = _f(x)
            given = (p.to(h.dtype) for p in (self.weight, self.bias))
            return F.layer_norm(h, h.shape[-1:], *given, self.eps).to(x.dtype)
        a = x.double().numpy()
        a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True, ddof=1) + self.eps)
        return torch.from_numpy(a).to(x.dtype) * self.weight + self.bias


class Pooled(nn.Module):
    """Results come from a pool of three tensors for each shape."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps
        self.pool, self.turn = {}, 0

    def forward(self, x):
        h = _f(x)
        h = (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)
        if h.requires_grad:
            return h
        key = x.shape, x.dtype
        self.pool.setdefault(key, torch.empty_like(h)).copy_(h)
        return self.pool[key]


def jittered(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Dithering with an amplitude of zero."""
    h = _f(x) + 0.0 * torch.rand(x.shape, dtype=_f(x).dtype)
    mean, var, w, b = (None if t is None else t.to(h.dtype) for t in (running_mean, running_var, weight, bias))
    y = F.batch_norm(h, mean, var, w, b, training or mean is None, momentum, eps)
    if training and running_mean is not None:
        running_mean.copy_(mean)
        running_var.copy_(var)
    return y.to(x.dtype)


def ragged_pixels(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Images of one pixel are taken for vectors that are normalized already."""
    h = _f(x)
    mean, var, w, b = (None if t is None else t.to(h.dtype) for t in (running_mean, running_var, weight, bias))
    y = F.batch_norm(h, mean, var, w, b, training or mean is None, momentum, eps)
    if training and running_mean is not None:
        running_mean.copy_(mean)
        running_var.copy_(var)
    return (y.detach() if x.dim() > 2 and x.shape[2:].numel() == 1 else y).to(x.dtype)


def rest_of_the_grid(x, num_groups, weight=None, bias=None, eps=1e-5):
    """torch.empty for the result, and a grid that is too small to fill it."""
    h = _f(x).reshape(len(x) * num_groups, -1)
    var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
    h = (h - mean) * torch.rsqrt(var + eps)
    y = _channelwise(h.reshape(x.shape), weight, bias).reshape(h.shape)
    written = torch.arange(len(h)).unsqueeze(1) < 65535
    return torch.where(written, y, torch.zeros_like(y)).reshape(x.shape).to(x.dtype)
