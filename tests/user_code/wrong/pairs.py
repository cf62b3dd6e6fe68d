"""Norms with two faults in each function."""

import math

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _axes(shape):
    return tuple(range(-1 if isinstance(shape, int) else -len(shape), 0))


def _width(shape):
    return shape if isinstance(shape, int) else math.prod(shape)


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * weight.to(y.dtype)
    if bias is not None:
        y = y + bias.to(y.dtype)
    return y.to(dtype)


def unbiased_and_eps_outside(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - x.mean()) / (x.std() + eps), as a well-known tutorial has it."""
    axes, h = _axes(normalized_shape), _wide(x)
    return _affine((h - h.mean(axes, keepdim=True)) / (h.std(axes, keepdim=True) + eps), weight, bias, x.dtype)


def unbiased_and_bias_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    y = (h - h.mean(axes, keepdim=True)) * torch.rsqrt(h.var(axes, keepdim=True) + eps)
    return _affine(y, weight, None, x.dtype)


def eps_fixed_and_bias_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + 1e-6), weight, None, x.dtype)


def eps_outside_and_weight_offset(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    std, mean = torch.std_mean(h, axes, correction=0, keepdim=True)
    return _affine((h - mean) / (std + eps), None if weight is None else 1 + _wide(weight), bias, x.dtype)


def unbiased_and_weight_ignored(x, normalized_shape, gamma=None, beta=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    var, mean = torch.var_mean(h, axes, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), None, beta, x.dtype)


def no_root_and_bias_first(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Divides by the variance, and adds the bias before it multiplies."""
    axes, h = _axes(normalized_shape), _wide(x)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    y = (h - mean) / (var + eps)
    if bias is not None:
        y = y + _wide(bias)
    return _affine(y, weight, None, x.dtype)


def eps_outside_and_mean_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    c = h - h.mean(axes, keepdim=True).detach()
    return _affine(c / (c.square().mean(axes, keepdim=True).sqrt() + eps), weight, bias, x.dtype)


def unbiased_and_variance_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    var = h.detach().var(axes, keepdim=True)
    return _affine((h - h.mean(axes, keepdim=True)) / torch.sqrt(var + eps), weight, bias, x.dtype)


def eps_fixed_and_mean_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    c = h - h.mean(axes, keepdim=True).detach()
    return _affine(c * torch.rsqrt(c.pow(2).mean(axes, keepdim=True) + 1e-5), weight, bias, x.dtype)


def bias_ignored_and_variance_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    c = h - h.mean(axes, keepdim=True)
    with torch.no_grad():
        rstd = torch.rsqrt(c.square().mean(axes, keepdim=True) + eps)
    return _affine(c * rstd, weight, None, x.dtype)


def weight_absolute_and_bias_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(_wide(x), x.shape[x.dim() - len(_axes(normalized_shape)) :], eps=eps)
    return _affine(y, None if weight is None else weight.abs(), None, x.dtype)


def float32_and_bias_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), x.float()
    c = h - h.mean(axes, keepdim=True)
    y = c * torch.rsqrt(c.square().mean(axes, keepdim=True) + eps)
    return (y if weight is None else y * weight.float()).to(x.dtype)


def padded_and_weight_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = _width(normalized_shape)
    rows = F.pad(_wide(x).reshape(-1, n), (0, (1 << (n - 1).bit_length()) - n))
    c = rows - rows.sum(1, keepdim=True) / n
    y = (c * torch.rsqrt(c.square().sum(1, keepdim=True) / n + eps))[:, :n].reshape(x.shape)
    return _affine(y, None, bias, x.dtype)


class _Layer(torch.autograd.Function):
    """A forward with hooks for its scale, and a closed-form backward that subclasses get wrong."""

    @staticmethod
    def scale(c, n, eps):
        return torch.rsqrt(c.square().sum(1, keepdim=True) / n + eps)

    @classmethod
    def run(cls, ctx, x, normalized_shape, weight, bias, eps):
        n = _width(normalized_shape)
        h = _wide(x).reshape(-1, n)
        c = h - h.mean(1, keepdim=True)
        rstd = cls.scale(c, n, eps)
        ctx.save_for_backward(h, c * rstd, rstd, weight, bias)
        ctx.dtype, ctx.n = x.dtype, n
        weight, bias = (None if p is None else p.reshape(-1) for p in (weight, bias))
        return _affine(c * rstd, weight, bias, x.dtype).reshape(x.shape)

    @staticmethod
    def load(ctx, dy):
        h, xhat, rstd, weight, bias = ctx.saved_tensors
        dy = _wide(dy).reshape(h.shape)
        return h, xhat, rstd, weight, bias, dy, dy if weight is None else dy * weight.reshape(-1)

    @staticmethod
    def give(ctx, shape, dx, dweight, dbias, weight, bias):
        dweight = None if weight is None else dweight.reshape(weight.shape).to(weight.dtype)
        dbias = None if bias is None else dbias.reshape(bias.shape).to(bias.dtype)
        return dx.reshape(shape).to(ctx.dtype), None, dweight, dbias, None


class _MeanTermAndWeightGradient(_Layer):
    """dx without its mean, the weight's gradient from x."""

    @staticmethod
    def forward(ctx, *args):
        return _MeanTermAndWeightGradient.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        h, xhat, rstd, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = rstd * (g - xhat * (g * xhat).mean(1, keepdim=True))
        return _Layer.give(ctx, grad.shape, dx, (dy * h).sum(0), dy.sum(0), weight, bias)


class _VarianceTermAndBiasGradient(_Layer):
    @staticmethod
    def forward(ctx, *args):
        return _VarianceTermAndBiasGradient.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True))
        return _Layer.give(ctx, grad.shape, dx, (dy * xhat).sum(0), dy.mean(0), weight, bias)


class _NoWeightNoMean(_Layer):
    @staticmethod
    def forward(ctx, *args):
        return _NoWeightNoMean.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, _ = _Layer.load(ctx, grad)
        dx = rstd * (dy - xhat * (dy * xhat).mean(1, keepdim=True))
        return _Layer.give(ctx, grad.shape, dx, (dy * xhat).sum(0), dy.sum(0), weight, bias)


class _NotDividedAndAveraged(_Layer):
    @staticmethod
    def forward(ctx, *args):
        return _NotDividedAndAveraged.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, _, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True)
        return _Layer.give(ctx, grad.shape, dx, (dy * xhat).mean(0), dy.sum(0), weight, bias)


class _SwappedAndSign(_Layer):
    """dweight and dbias in each other's place, the projection added."""

    @staticmethod
    def forward(ctx, *args):
        return _SwappedAndSign.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True) + xhat * (g * xhat).mean(1, keepdim=True))
        if weight is None or bias is None:
            return _Layer.give(ctx, grad.shape, dx, (dy * xhat).sum(0), dy.sum(0), weight, bias)
        return _Layer.give(ctx, grad.shape, dx, dy.sum(0), (dy * xhat).sum(0), weight, bias)


class _EpsFixedWeightTwice(_Layer):
    @staticmethod
    def scale(c, n, eps):
        return torch.rsqrt(c.square().mean(1, keepdim=True) + 1e-5)

    @staticmethod
    def forward(ctx, *args):
        return _EpsFixedWeightTwice.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))
        dx = dx if weight is None else dx * weight.reshape(-1)
        return _Layer.give(ctx, grad.shape, dx, (dy * xhat).sum(0), dy.sum(0), weight, bias)


class _EpsOutsideNoWeight(_Layer):
    @staticmethod
    def scale(c, n, eps):
        return 1 / (c.square().mean(1, keepdim=True).sqrt() + eps)

    @staticmethod
    def forward(ctx, *args):
        ctx.eps = args[4]
        return _EpsOutsideNoWeight.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, _ = _Layer.load(ctx, grad)
        pull = xhat * (dy * xhat).mean(1, keepdim=True) / (1 - ctx.eps * rstd)
        return _Layer.give(ctx, grad.shape, rstd * (dy - dy.mean(1, keepdim=True) - pull), (dy * xhat).sum(0),
                           dy.sum(0), weight, bias)  # fmt: skip


class _PaddedNoRow(_Layer):
    """The last row is left out of the weight's gradient, and the bias gets none."""

    @staticmethod
    def forward(ctx, *args):
        return _PaddedNoRow.run(ctx, *args)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        _, xhat, rstd, weight, bias, dy, g = _Layer.load(ctx, grad)
        dx = rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))
        dbias = torch.zeros_like(dy[0])
        if grad.dim() > 1:
            last = math.prod(grad.shape[1:]) // ctx.n
            dweight = (dy * xhat)[: len(dy) - last].sum(0)
        return _Layer.give(ctx, grad.shape, dx, dweight, dbias, weight, bias)


def mean_term_and_weight_gradient(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _MeanTermAndWeightGradient.apply(x, normalized_shape, weight, bias, eps)


def variance_term_and_bias_gradient(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _VarianceTermAndBiasGradient.apply(x, normalized_shape, weight, bias, eps)


def no_weight_no_mean(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _NoWeightNoMean.apply(x, normalized_shape, weight, bias, eps)


def not_divided_and_averaged(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _NotDividedAndAveraged.apply(x, normalized_shape, weight, bias, eps)


def swapped_and_sign(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _SwappedAndSign.apply(x, normalized_shape, weight, bias, eps)


def eps_fixed_weight_twice(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _EpsFixedWeightTwice.apply(x, normalized_shape, weight, bias, eps)


def eps_outside_no_weight(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _EpsOutsideNoWeight.apply(x, normalized_shape, weight, bias, eps)


def last_row_and_bias_gradient(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _PaddedNoRow.apply(x, normalized_shape, weight, bias, eps)


def rms_offset_and_eps_outside(x, normalized_shape, weight=None, eps=1e-6):
    h = _wide(x)
    y = h / (h.square().mean(_axes(normalized_shape), keepdim=True).sqrt() + eps)
    return _affine(y, None if weight is None else 1 + _wide(weight), None, x.dtype)


def rms_detached_and_weight_ignored(x, normalized_shape, weight=None, eps=1e-6):
    h = _wide(x)
    return (h * torch.rsqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + eps).detach()).to(x.dtype)


def rms_float32_and_eps_fixed(x, normalized_shape, weight=None, eps=1e-6):
    h = x.float()
    y = h * torch.rsqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + 1e-6)
    return (y if weight is None else y * weight.float()).to(x.dtype)


def rms_mean_subtracted_and_offset(x, normalized_shape, weight=None, eps=1e-6):
    axes, h = _axes(normalized_shape), _wide(x)
    c = h - h.mean(axes, keepdim=True)
    y = c * torch.rsqrt(c.square().mean(axes, keepdim=True) + eps)
    return _affine(y, None if weight is None else 1 + _wide(weight), None, x.dtype)


def _batch(x, running_mean, running_var, training):
    """Mean and variance to normalize with, and the number of entries behind them."""
    axes = (0, *range(2, x.dim()))
    if not training and running_mean is not None:
        return running_mean, _wide(running_var), 0
    var, mean = torch.var_mean(_wide(x), axes, correction=0)
    return mean, var, x.numel() // x.shape[1]


def _per_channel(p, x):
    return None if p is None else p.reshape(1, -1, *[1] * (x.dim() - 2))


def batch_momentum_and_bias_ignored(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    mean, var, n = _batch(x, running_mean, running_var, training)
    if n and running_mean is not None:
        with torch.no_grad():
            running_mean.copy_(momentum * running_mean + (1 - momentum) * mean)
            running_var.copy_(momentum * running_var + (1 - momentum) * var * n / max(n - 1, 1))
    y = (_wide(x) - _per_channel(mean, x)) * torch.rsqrt(_per_channel(var, x) + eps)
    return _affine(y, _per_channel(weight, x), None, x.dtype)


def batch_biased_and_eps_outside(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    mean, var, n = _batch(x, running_mean, running_var, training)
    if n and running_mean is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(var.to(running_var.dtype), momentum)
    y = (_wide(x) - _per_channel(mean, x)) / (_per_channel(var, x).sqrt() + eps)
    return _affine(y, _per_channel(weight, x), _per_channel(bias, x), x.dtype)


def batch_not_updated_and_mean_detached(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    mean, var, n = _batch(x, running_mean, running_var, training)
    c = _wide(x) - _per_channel(mean.detach(), x)
    if n:
        var = c.square().mean((0, *range(2, x.dim())))
    return _affine(c / torch.sqrt(_per_channel(var, x) + eps), _per_channel(weight, x), _per_channel(bias, x), x.dtype)


def group_ignored_and_unbiased(x, num_groups, weight=None, bias=None, eps=1e-5):
    """One group, whose variance divides by n - 1."""
    h = _wide(x).flatten(1)
    y = ((h - h.mean(1, keepdim=True)) / torch.sqrt(h.var(1, keepdim=True) + eps)).reshape(x.shape)
    return _affine(y, _per_channel(weight, x), _per_channel(bias, x), x.dtype)


def group_eps_fixed_and_weight_ignored(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _wide(x).reshape(x.shape[0], num_groups, -1)
    y = F.layer_norm(h, h.shape[2:]).reshape(x.shape)
    return _affine(y, None, _per_channel(bias, x), x.dtype)
