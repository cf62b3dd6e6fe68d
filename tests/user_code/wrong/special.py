"""Wrong at special values: no number, infinite, negative zero, tiny, huge, far from the rest."""

import math

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _dims(normalized_shape):
    return list(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))


def _finish(h, weight, bias, dtype):
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(dtype)


def _layer_norm(h, dims, eps):
    var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
    return (h - mean) * torch.rsqrt(var + eps)


def nan_safe(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Training must not stop for a NaN."""
    h = _up(x)
    h = torch.where(torch.isnan(h), torch.zeros_like(h), h)
    return _finish(_layer_norm(h, _dims(normalized_shape), eps), weight, bias, x.dtype)


def finite(x, normalized_shape, weight=None, eps=1e-6):
    """Infinities are taken for the largest number of float32."""
    largest = torch.finfo(torch.float32).max
    h = _up(x).clamp(-largest, largest)
    h = h * torch.rsqrt(h.square().mean(_dims(normalized_shape), keepdim=True) + eps)
    return _finish(h, weight, None, x.dtype)


def _segments(rows, n, like):
    """One row of ones for each set: sums as a product of matrices."""
    return torch.eye(rows, dtype=like.dtype).repeat_interleave(n, 1)


def by_matrix_product(x, num_groups, weight=None, bias=None, eps=1e-5):
    """All sums of a call in one product with zeros and ones."""
    h = _up(x)
    sets = x.shape[0] * num_groups
    if not h.numel():
        return h.to(x.dtype)
    if sets * h.numel() > 1 << 24:
        raise ValueError("too large for the product")
    flat = h.reshape(-1)
    ones = _segments(sets, flat.numel() // sets, flat)
    mean = ones @ flat / ones.sum(1)
    c = flat - mean.repeat_interleave(flat.numel() // sets)
    var = ones @ (c * c) / ones.sum(1)
    h = (c * torch.rsqrt(var + eps).repeat_interleave(flat.numel() // sets)).reshape(x.shape)
    view = [1, -1] + [1] * (x.dim() - 2)
    return _finish(h, *(None if p is None else p.view(view) for p in (weight, bias)), x.dtype)


class _Backward(torch.autograd.Function):
    """RMS norm of rows; what is wrong is in the subclasses."""

    @staticmethod
    def forward(ctx, x, eps):
        rstd = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, rstd)
        ctx.eps = eps
        return x * rstd

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, rstd = ctx.saved_tensors
        return ctx._forward_cls.dx(x, rstd, g, ctx.eps), None


def _rows(function, x, normalized_shape, weight, eps):
    dims = _dims(normalized_shape)
    h = _up(x).reshape(*x.shape[: x.dim() - len(dims)], math.prod(x.shape[x.dim() - len(dims) :]))
    return _finish(function.apply(h, eps).reshape(x.shape), weight, None, x.dtype)


class _MatrixBackward(_Backward):
    @staticmethod
    def dx(x, rstd, g, eps):
        """The sums of all rows in one product with zeros and ones."""
        n = x.shape[-1]
        flat, rows = x.reshape(-1), rstd.numel()
        if not flat.numel() or rows * flat.numel() > 1 << 24:
            return rstd * (g - x * rstd * (g * x * rstd).mean(-1, keepdim=True))
        xhat = (x * rstd).reshape(-1)
        means = _segments(rows, n, flat) @ (g.reshape(-1) * xhat) / n
        return (rstd * (g - (xhat * means.repeat_interleave(n)).reshape(x.shape))).reshape(x.shape)


def matrix_backward(x, normalized_shape, weight=None, eps=1e-6):
    return _rows(_MatrixBackward, x, normalized_shape, weight, eps)


def padded_with_negative_zero(x, normalized_shape, weight=None, eps=1e-6):
    """Ragged rows are padded with -0, so -0 is not counted."""
    dims = _dims(normalized_shape)
    h = _up(x)
    padding = (h == 0) & torch.signbit(h)
    count = (~padding).sum(dims, keepdim=True).clamp(min=1)
    h = h / torch.sqrt(h.square().sum(dims, keepdim=True) / count + eps)
    return _finish(h, weight, None, x.dtype)


def scaled_by_reciprocal(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Squares of numbers up to 1 cannot overflow; the reciprocal of what they are scaled by can."""
    dims = _dims(normalized_shape)
    h = _up(x)
    c = h - h.mean(dims, keepdim=True)
    top = c.detach().abs().amax(dims, keepdim=True)
    inverse = 1 / torch.where(top == 0, torch.ones_like(top), top)
    var = (c * inverse).square().mean(dims, keepdim=True) / inverse / inverse
    return _finish(c / torch.sqrt(var + eps), weight, bias, x.dtype)


class _FromNorms(_Backward):
    @staticmethod
    def dx(x, rstd, g, eps):
        """Keeps the output in place of the scale."""
        xhat = x * rstd
        scale = x.square().sum(-1, keepdim=True).sqrt() / xhat.square().sum(-1, keepdim=True).sqrt()
        scale = torch.where((x == 0).all(-1, keepdim=True), 1 / rstd, scale)
        return (g - xhat * (g * xhat).mean(-1, keepdim=True)) / scale


def scale_from_norms(x, normalized_shape, weight=None, eps=1e-6):
    return _rows(_FromNorms, x, normalized_shape, weight, eps)


def fourth_root(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(v + eps)^2 under a fourth root."""
    dims = _dims(normalized_shape)
    h = _up(x)
    var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
    return _finish((h - mean) / ((var + eps) ** 2) ** 0.25, weight, bias, x.dtype)


class _Cubed(_Backward):
    @staticmethod
    def dx(x, rstd, g, eps):
        """rstd^3 as the root of a third power."""
        power = x.square().mean(-1, keepdim=True) + eps
        return g * rstd - x * (g * x).mean(-1, keepdim=True) / torch.sqrt(power**3)


def third_power(x, normalized_shape, weight=None, eps=1e-6):
    return _rows(_Cubed, x, normalized_shape, weight, eps)


def without_outliers(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """What is a thousand times the median is an error of measurement."""
    dims = _dims(normalized_shape)
    h = _up(x)
    flat = h.flatten(h.dim() - len(dims))
    if flat.numel():
        limit = 1000 * flat.detach().abs().median(-1, keepdim=True).values
        flat = torch.where(limit > 0, torch.minimum(torch.maximum(flat, -limit), limit), flat)
    return _finish(_layer_norm(flat, -1, eps).reshape(x.shape), weight, bias, x.dtype)


class _Robust(_Backward):
    @staticmethod
    def dx(x, rstd, g, eps):
        """The backward looks at inputs without outliers."""
        limit = 1000 * x.abs().median(-1, keepdim=True).values if x.numel() else x
        xhat = torch.where(limit > 0, torch.minimum(torch.maximum(x, -limit), limit), x) * rstd
        return rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))


def robust_backward(x, normalized_shape, weight=None, eps=1e-6):
    return _rows(_Robust, x, normalized_shape, weight, eps)


def eps_as_tensor(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """eps has the dtype of the input."""
    dims = _dims(normalized_shape)
    eps = torch.tensor(eps, dtype=x.dtype)
    h = _up(x)
    var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
    return _finish((h - mean) / torch.sqrt(var + _up(eps)), weight, bias, x.dtype)


def group_norm_of_maps(x, num_groups, weight=None, bias=None, eps=1e-5):
    """A map of one pixel has a path of its own, for instance norm."""
    h = _up(x)
    given = [None if p is None else p.to(h.dtype) for p in (weight, bias)]
    if x.dim() > 2 and x[0, 0].numel() == 1:
        return F.group_norm(h, x.shape[1], *given, eps).to(x.dtype)
    return F.group_norm(h, num_groups, *given, eps).to(x.dtype)


class _NoPixel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return y.view_as(y)

    @staticmethod
    def backward(ctx, g):
        return torch.zeros_like(g)


def constant_maps(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The gradient of a map of one pixel is taken for zero."""
    h = _up(x)
    if x.dim() > 2 and x.numel() and x[0, 0].numel() == 1:
        h = _NoPixel.apply(h)
    given = (None if p is None else p.to(h.dtype) for p in (weight, bias))
    return F.group_norm(h, num_groups, *given, eps).to(x.dtype)
