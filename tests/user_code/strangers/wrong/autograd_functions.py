"""Gradients written by hand, as torch.autograd.Function."""

import math

import torch
from torch.autograd import Function


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _FromOutput(Function):
    """Saves the output in place of the input, and divides it by the gain to get the normalized values back."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(h * rstd * weight, rstd, weight)
        return (h * rstd * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        y, rstd, weight = ctx.saved_tensors
        g = _wide(dy)
        xhat = y / weight
        gw = g * weight
        dx = rstd * (gw - xhat * (gw * xhat).mean(-1, keepdim=True))
        dw = (g * xhat).reshape(-1, g.shape[-1]).sum(0)
        return dx.to(dy.dtype), dw.to(weight.dtype), None


def saved_output(input, normalized_shape, weight=None, eps=1e-6):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    return _FromOutput.apply(input.reshape(-1, n), w, eps).reshape(input.shape)


class _Clamped(Function):
    """The same with a guard: a gain below a hundredth counts as a hundredth."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        y = (h - mean) * rstd * weight + bias
        ctx.save_for_backward(y, rstd, weight, bias)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        y, rstd, weight, bias = ctx.saved_tensors
        g = _wide(dy)
        guard = torch.where(weight < 0, -1.0, 1.0).to(weight.dtype) * weight.abs().clamp_min(1e-2)
        xhat = (y - bias) / guard
        gw = g * weight
        dx = rstd * (gw - gw.mean(-1, keepdim=True) - xhat * (gw * xhat).mean(-1, keepdim=True))
        return dx.to(dy.dtype), (g * xhat).sum(0).to(weight.dtype), g.sum(0).to(bias.dtype), None


def memory_efficient(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    b = torch.zeros(n, dtype=input.dtype) if bias is None else bias.reshape(n)
    return _Clamped.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _HalfBranch(Function):
    """In half precision the backward takes a shorter formula, without the mean."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, mean, rstd, weight)
        return ((h - mean) * rstd * weight + bias).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, mean, rstd, weight = ctx.saved_tensors
        g = _wide(dy)
        xhat = (_wide(x) - mean) * rstd
        gw = g * weight
        dx = gw - xhat * (gw * xhat).mean(-1, keepdim=True)
        if x.dtype in (torch.float32, torch.float64):
            dx = dx - gw.mean(-1, keepdim=True)
        return (rstd * dx).to(x.dtype), (g * xhat).sum(0).to(weight.dtype), g.sum(0).to(weight.dtype), None


def half_branch(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    b = torch.zeros(n, dtype=input.dtype) if bias is None else bias.reshape(n)
    return _HalfBranch.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _WritesGradient(Function):
    """Scales the arriving gradient where it lies."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, rstd, weight)
        return (h * rstd * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, rstd, weight = ctx.saved_tensors
        xhat = _wide(x) * rstd
        dw = (_wide(dy) * xhat).sum(0)
        gw = _wide(dy).mul_(weight)
        dx = rstd * (gw - xhat * (gw * xhat).mean(-1, keepdim=True))
        return dx.to(x.dtype), dw.to(weight.dtype), None


def writes_gradient(input, normalized_shape, weight=None, eps=1e-6):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    return _WritesGradient.apply(input.reshape(-1, n), w, eps).reshape(input.shape)


class _OnlyOnce(Function):
    """The saved values are scratch for the backward, which so can be called once."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        ctx.xhat, ctx.rstd = (h - mean) * rstd, rstd
        ctx.save_for_backward(weight)
        return (ctx.xhat * weight + bias).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        (weight,) = ctx.saved_tensors
        g = _wide(dy)
        dw = (g * ctx.xhat).sum(0)
        gw = g * weight
        share = (gw * ctx.xhat).mean(-1, keepdim=True)
        dx = ctx.rstd * (gw - gw.mean(-1, keepdim=True) - ctx.xhat.mul_(share))
        return dx.to(dy.dtype), dw.to(weight.dtype), g.sum(0).to(weight.dtype), None


def only_once(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    b = torch.zeros(n, dtype=input.dtype) if bias is None else bias.reshape(n)
    return _OnlyOnce.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _OneDimension(Function):
    """Sums over all axes but the last: of a single vector, over none, which torch takes for all."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, rstd, weight)
        return (h * rstd * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, rstd, weight = ctx.saved_tensors
        g, xhat = _wide(dy), _wide(x) * rstd
        gw = g * weight
        dx = rstd * (gw - xhat * (gw * xhat).mean(-1, keepdim=True))
        dw = (g * xhat).sum(dim=tuple(range(g.dim() - 1)))
        return dx.to(x.dtype), dw.to(weight.dtype).expand_as(weight), None


def one_dimension(x, weight, eps=1e-6):
    return _OneDimension.apply(x, weight, eps)


class _GroupBias(Function):
    """The gradient of the shift is summed over a group, and shared by its channels."""

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = _wide(x).reshape(x.shape[0], groups, -1)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        xhat = ((h - mean) * rstd).reshape(x.shape)
        ctx.save_for_backward(xhat, rstd, weight)
        ctx.groups = groups
        view = (1, -1) + (1,) * (x.dim() - 2)
        return (xhat * weight.view(view) + bias.view(view)).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        xhat, rstd, weight = ctx.saved_tensors
        g = _wide(dy)
        view = (1, -1) + (1,) * (g.dim() - 2)
        axes = [0, *range(2, g.dim())]
        gw = (g * weight.view(view)).reshape(g.shape[0], ctx.groups, -1)
        own = xhat.reshape(gw.shape)
        dx = rstd * (gw - gw.mean(-1, keepdim=True) - own * (gw * own).mean(-1, keepdim=True))
        db = g.sum(axes).reshape(ctx.groups, -1)
        db = db.mean(1, keepdim=True).expand_as(db).reshape(-1)
        return dx.reshape(g.shape).to(dy.dtype), None, (g * xhat).sum(axes).to(weight.dtype), db.to(weight.dtype), None


def group_bias(input, num_groups, weight=None, bias=None, eps=1e-5):
    c = input.shape[1]
    if not len(input):
        return input * 1
    w = torch.ones(c, dtype=input.dtype) if weight is None else weight
    b = torch.zeros(c, dtype=input.dtype) if bias is None else bias
    return _GroupBias.apply(input, num_groups, w, b, eps)


class _SmallCotangent(Function):
    """Entries of the arriving gradient below a millionth are taken for zero."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(-1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, mean, rstd, weight)
        return ((h - mean) * rstd * weight + bias).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, mean, rstd, weight = ctx.saved_tensors
        g = _wide(dy)
        g = torch.where(g.abs() < 1e-6, torch.zeros_like(g), g)
        xhat = (_wide(x) - mean) * rstd
        gw = g * weight
        dx = rstd * (gw - gw.mean(-1, keepdim=True) - xhat * (gw * xhat).mean(-1, keepdim=True))
        return dx.to(x.dtype), (g * xhat).sum(0).to(weight.dtype), g.sum(0).to(weight.dtype), None


def small_cotangent(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    b = torch.zeros(n, dtype=input.dtype) if bias is None else bias.reshape(n)
    return _SmallCotangent.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _NegativeLength(Function):
    """The gradient of the direction takes the length for positive."""

    @staticmethod
    def forward(ctx, v, g):
        norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
        ctx.save_for_backward(v, g, norm)
        return g * v / norm

    @staticmethod
    def backward(ctx, dw):
        v, g, norm = ctx.saved_tensors
        along = (dw * v).flatten(1).sum(1).view(norm.shape) / norm
        dv = g.abs() / norm * (dw - along * v / norm)
        return dv, along


def negative_length(v, g):
    """Weight norm over dim 0."""
    if v.dim() < 2:
        return _NegativeLength.apply(v.reshape(-1, 1), g.reshape(-1, 1)).reshape(v.shape)
    wide = torch.promote_types(v.dtype, torch.float32)
    return _NegativeLength.apply(v.to(wide), g.to(wide)).to(v.dtype)


def floor_of_norm(v, g):
    """Weight norm over dim 0; a length below a thousandth counts as one."""
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    norm = h.abs() if v.dim() == 1 else torch.linalg.vector_norm(h, dim=tuple(range(1, v.dim())), keepdim=True)
    return (h * (g.to(h.dtype) / norm.clamp_min(1e-3))).to(v.dtype)
