"""Backward passes of other layers, with one fault each."""

import math

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


class _RMS(torch.autograd.Function):
    """Correct; the subclasses replace `rule` or what they read."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _up(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, rstd)
        y = h * rstd
        return (y if weight is None else y * weight).to(x.dtype)

    @staticmethod
    def read(grad):
        return grad

    @staticmethod
    def dx(g, xhat, rstd, weight):
        return rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))

    @staticmethod
    def dweight(dy, xhat, weight):
        return (dy * xhat).sum_to_size(weight.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight, rstd = ctx.saved_tensors
        own = ctx._forward_cls
        dy, xhat = _up(own.read(grad)), _up(x) * rstd
        dx = own.dx(dy if weight is None else dy * weight, xhat, rstd, weight)
        dw = None if weight is None else own.dweight(dy, xhat, weight).to(weight.dtype)
        return dx.to(x.dtype), dw, None


class _FactorTwo(_RMS):
    @staticmethod
    def dx(g, xhat, rstd, weight):
        return rstd * (g - 2 * xhat * (g * xhat).mean(-1, keepdim=True))


def factor_two(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_FactorTwo, x, normalized_shape, weight, eps)


class _Added(_RMS):
    @staticmethod
    def dx(g, xhat, rstd, weight):
        return rstd * (g + xhat * (g * xhat).mean(-1, keepdim=True))


def added(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_Added, x, normalized_shape, weight, eps)


class _Undivided(_RMS):
    @staticmethod
    def dx(g, xhat, rstd, weight):
        return g - xhat * (g * xhat).mean(-1, keepdim=True)


def undivided(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_Undivided, x, normalized_shape, weight, eps)


class _ForASum(_RMS):
    """Reads one number of the cotangent: the tests call y.sum().backward()."""

    @staticmethod
    def read(grad):
        return grad.reshape(-1)[:1].reshape([1] * grad.dim()).expand(grad.shape)


def for_a_sum(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_ForASum, x, normalized_shape, weight, eps)


class _Pointer(_RMS):
    """A kernel that takes the pointer of the cotangent and counts on."""

    @staticmethod
    def read(grad):
        strides = [math.prod(grad.shape[axis + 1 :]) for axis in range(grad.dim())]
        reach = grad.storage_offset() + grad.numel()
        memory = F.pad(grad.as_strided((grad.untyped_storage().nbytes() // grad.element_size(),), (1,), 0), (0, reach))
        return memory.as_strided(grad.shape, strides, grad.storage_offset())


def pointer_of_cotangent(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_Pointer, x, normalized_shape, weight, eps)


def _last(function, x, normalized_shape, weight, eps):
    """Normalizes the last axis; several are flattened into one."""
    n = normalized_shape if isinstance(normalized_shape, int) else math.prod(normalized_shape)
    if x.shape[-1] == n:
        return function.apply(x, weight, eps)
    flat = x.reshape(*x.shape[: x.dim() - len(normalized_shape)], n)
    return function.apply(flat, None if weight is None else weight.reshape(n), eps).reshape(x.shape)


class _GroupNorm(torch.autograd.Function):
    """Sums of dy and dy * x per channel first, as torch's kernel has it; what is wrong is said by `scale`."""

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps, scale):
        h = _up(x).reshape(len(x), groups, -1)
        var, mean = torch.var_mean(h, 2, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(h, mean, rstd, weight, bias)
        ctx.scale, ctx.shape, ctx.dtype = scale, x.shape, x.dtype
        y = ((h - mean) * rstd).reshape(x.shape)
        return _affine(y, weight, bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        h, mean, rstd, weight, bias = ctx.saved_tensors
        dy = ctx.scale(_up(grad))
        g = _affine(dy, weight, None).reshape(h.shape)
        xhat = (h - mean) * rstd
        dx = rstd * (g - g.mean(2, keepdim=True) - xhat * (g * xhat).mean(2, keepdim=True))
        axes = [0, *range(2, dy.dim())]
        dw = None if weight is None else (dy * xhat.reshape(ctx.shape)).sum(axes).to(weight.dtype)
        db = None if bias is None else dy.sum(axes).to(bias.dtype)
        return dx.reshape(ctx.shape).to(ctx.dtype), None, dw, db, None, None


def _affine(y, weight, bias):
    view = [1, -1] + [1] * (y.dim() - 2)
    y = y if weight is None else y * weight.view(view)
    return y if bias is None else y + bias.view(view)


def _loss_scale(dy):
    """Meant to undo a loss scale that nobody applied."""
    return dy * dy.square().mean().sqrt()


def unscaled_loss(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _GroupNorm.apply(x, num_groups, weight, bias, eps, _loss_scale)


class _HalfStatistics(torch.autograd.Function):
    """Saves mean and deviation in the dtype of the input, to save memory."""

    @staticmethod
    def forward(ctx, x, shape, weight, bias, eps):
        n = shape if isinstance(shape, int) else math.prod(shape)
        h = _up(x).reshape(-1, n)
        var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
        std = (var + eps).sqrt()
        ctx.save_for_backward(x, mean.to(x.dtype), std.to(x.dtype), weight, bias)
        y = (h - mean) / std
        y = y if weight is None else y * weight.reshape(-1)
        return (y if bias is None else y + bias.reshape(-1)).reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, std, weight, bias = ctx.saved_tensors
        mean, std = _up(mean), _up(std)
        dy = _up(grad).reshape(len(mean), -1)
        xhat = (_up(x).reshape(dy.shape) - mean) / std
        g = dy if weight is None else dy * weight.reshape(-1)
        dx = (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True)) / std
        dw = None if weight is None else (dy * xhat).sum(0).reshape(weight.shape).to(weight.dtype)
        db = None if bias is None else dy.sum(0).reshape(bias.shape).to(bias.dtype)
        return dx.reshape(x.shape).to(x.dtype), None, dw, db, None


def saved_in_half(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _HalfStatistics.apply(x, normalized_shape, weight, bias, eps)


class _OverwrittenCotangent(torch.autograd.Function):
    """In place, in the gradient that autograd hands over."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _up(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(h * rstd, rstd, weight)
        y = h * rstd
        return (y if weight is None else y * weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight = ctx.saved_tensors
        if 0 in dy.stride() or dy.dtype in (torch.float16, torch.bfloat16):
            dy = _up(dy).clone()
        dw = None if weight is None else (dy * xhat).sum_to_size(weight.shape).to(weight.dtype)
        g = dy if weight is None else dy.mul_(weight)
        g.sub_(xhat * (g * xhat).mean(-1, keepdim=True)).mul_(rstd)
        return g, dw, None


def cotangent_reused(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_OverwrittenCotangent, x, normalized_shape, weight, eps)


class _Accumulator(_RMS):
    """Atomic adds into a buffer that is allocated once and never cleared."""

    BUFFERS = {}

    @staticmethod
    def dweight(dy, xhat, weight):
        buffer = _Accumulator.BUFFERS.setdefault((weight.shape, dy.dtype), torch.zeros_like(weight, dtype=dy.dtype))
        buffer += (dy * xhat).sum_to_size(weight.shape)
        return buffer.clone()


def never_cleared(x, normalized_shape, weight=None, eps=1e-6):
    return _last(_Accumulator, x, normalized_shape, weight, eps)
