"""Right at ordinary sizes."""

import math

import torch
from torch.autograd.function import once_differentiable

LIMIT = 1 << 16


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _shape(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def _flat(x, normalized_shape):
    shape = _shape(normalized_shape)
    return _up(x).reshape(math.prod(x.shape[: x.dim() - len(shape)]), math.prod(shape))


def _finish(h, weight, bias, x):
    h = h.reshape(x.shape)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def grid_of_blocks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """One block for each row, in a dimension of the grid that ends at 65535."""
    h = _flat(x, normalized_shape)
    done = h[: LIMIT - 1]
    var, mean = torch.var_mean(done, 1, correction=0, keepdim=True)
    done = (done - mean) * torch.rsqrt(var + eps)
    shape = _shape(normalized_shape)
    w, b = (None if p is None else p.reshape(-1) for p in (weight, bias))
    done = done if w is None else done * w
    done = done if b is None else done + b
    rest = torch.zeros(max(0, len(h) - (LIMIT - 1)), math.prod(shape), dtype=h.dtype)
    return torch.cat([done, rest]).reshape(x.shape).to(x.dtype)


class _Rows(torch.autograd.Function):
    """Layer norm of rows; the subclasses change what the backward covers."""

    @staticmethod
    def forward(ctx, h, weight, bias, eps):
        var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        xhat = (h - mean) * rstd
        ctx.save_for_backward(xhat, rstd, weight, bias)
        y = xhat if weight is None else xhat * weight
        return y if bias is None else y + bias

    @staticmethod
    def dx(g, xhat, rstd):
        return rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))

    @staticmethod
    def over_rows(terms):
        return terms.sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight, bias = ctx.saved_tensors
        own = ctx._forward_cls
        dw = None if weight is None else own.over_rows(dy * xhat).to(weight.dtype)
        db = None if bias is None else own.over_rows(dy).to(bias.dtype)
        return own.dx(dy if weight is None else dy * weight, xhat, rstd), dw, db, None


def _call(function, x, normalized_shape, weight, bias, eps):
    h = _flat(x, normalized_shape)
    w, b = (None if p is None else _up(p).reshape(-1) for p in (weight, bias))
    return function.apply(h, w, b, eps).reshape(x.shape).to(x.dtype)


class _ShortIndex(_Rows):
    @staticmethod
    def dx(g, xhat, rstd):
        dx = _Rows.dx(g, xhat, rstd)
        return dx[torch.arange(len(dx)) & 0xFFFF]


def short_index(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_ShortIndex, x, normalized_shape, weight, bias, eps)


class _WholeBlocks(_Rows):
    @staticmethod
    def over_rows(terms):
        """Blocks of 65536 rows, if there are so many."""
        blocks = len(terms) // LIMIT
        return terms[: blocks * LIMIT].sum(0) if blocks else terms.sum(0)


def whole_blocks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_WholeBlocks, x, normalized_shape, weight, bias, eps)


class _MeanOfBlocks(_Rows):
    @staticmethod
    def over_rows(terms):
        """Partial means, times the number of rows."""
        return terms.mean(0) * len(terms)


def mean_of_blocks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_MeanOfBlocks, x, normalized_shape, weight, bias, eps)


class _NarrowWrite(_Rows):
    @staticmethod
    def dx(g, xhat, rstd):
        dx = torch.zeros_like(g)
        dx[:, :LIMIT] = _Rows.dx(g, xhat, rstd)[:, :LIMIT]
        return dx


def narrow_write(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _call(_NarrowWrite, x, normalized_shape, weight, bias, eps)


def short_loop(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The loop for the variance ends at 65536."""
    h = _flat(x, normalized_shape)
    c = h - h.mean(1, keepdim=True)
    var = c[:, :LIMIT].square().sum(1, keepdim=True) / h.shape[1]
    return _finish(c * torch.rsqrt(var + eps), weight, bias, x)


def always_a_batch(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A vector is made a column first."""
    h = _up(x).unsqueeze(1) if x.dim() == 1 else _flat(x, normalized_shape)
    var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
    return _finish((h - mean) * torch.rsqrt(var + eps), weight, bias, x)


class _FirstAxis(torch.autograd.Function):
    """The parameters' gradients sum over the first axis, of a vector too."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        rstd = torch.rsqrt(_up(x).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, rstd)
        y = _up(x) * rstd
        return (y if weight is None else y * weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        dy, xhat = _up(dy), _up(x) * rstd
        g = dy if weight is None else dy * weight
        dw = None
        if weight is not None:
            dw = (dy * xhat).sum(0)
            while dw.dim() > 1:
                dw = dw.sum(0)
            dw = dw.expand(weight.shape).to(weight.dtype)
        return (rstd * (g - xhat * (g * xhat).mean(-1, keepdim=True))).to(x.dtype), dw, None


def first_axis(x, normalized_shape, weight=None, eps=1e-6):
    shape = _shape(normalized_shape)
    if len(shape) == 1:
        return _FirstAxis.apply(x, weight, eps)
    flat = x.flatten(x.dim() - len(shape))
    return _FirstAxis.apply(flat, None if weight is None else weight.flatten(), eps).reshape(x.shape)


def one_row_at_least(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A grid of max(rows, 1) blocks writes max(rows, 1) rows."""
    if x.shape[0] == 0:
        return torch.zeros((1, *x.shape[1:]), dtype=x.dtype)
    h = _flat(x, normalized_shape)
    var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
    return _finish((h - mean) * torch.rsqrt(var + eps), weight, bias, x)
