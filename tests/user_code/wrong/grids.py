"""Wrong for one width, some numbers of rows, or some weights, and right beside them."""

import math

import torch
from torch.autograd.function import once_differentiable


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _shape(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def _rows(x, normalized_shape):
    shape = _shape(normalized_shape)
    return x.reshape(math.prod(x.shape[: x.dim() - len(shape)]), math.prod(shape))


def _flat(p):
    return None if p is None else p.reshape(-1)


class _RMSNorm(torch.autograd.Function):
    """RMS norm of rows; the subclasses change what is launched."""

    @staticmethod
    def gain(xhat, weight):
        return xhat * weight

    @staticmethod
    def dx(g, xhat, rstd, dtype):
        return rstd * (g - xhat * (g * xhat).mean(1, keepdim=True))

    @staticmethod
    def dweight(dy, xhat, weight):
        return (dy * xhat).sum(0)

    @classmethod
    def run(cls, h, weight, eps):
        rstd = torch.rsqrt(h.square().mean(1, keepdim=True) + eps)
        xhat = h * rstd
        return xhat if weight is None else cls.gain(xhat, _up(weight)), rstd

    @staticmethod
    def forward(ctx, x, weight, eps):
        own = ctx._forward_cls
        y, rstd = own.run(_up(x), weight, eps)
        ctx.save_for_backward(x, weight, rstd)
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        own = ctx._forward_cls
        x, weight, rstd = ctx.saved_tensors
        dy, xhat = _up(dy), _up(x) * rstd
        g = dy if weight is None else dy * _up(weight)
        dw = None if weight is None else own.dweight(dy, xhat, _up(weight)).to(weight.dtype)
        return own.dx(g, xhat, rstd, x.dtype).to(x.dtype), dw, None


def _rms(function, x, normalized_shape, weight, eps):
    return function.apply(_rows(x, normalized_shape), _flat(weight), eps).reshape(x.shape)


class _Tiled(_RMSNorm):
    """float32 rows of 1024 have a kernel of their own, whose loop over tiles has no turn."""

    tile = 1024

    @classmethod
    def own(cls, rows):
        return rows.shape[1] == cls.tile and rows.dtype == torch.float32

    @classmethod
    def tiles(cls, rows):
        return range(rows.shape[1] // cls.tile - 1)

    @staticmethod
    def forward(ctx, x, weight, eps):
        if not _Tiled.own(x):
            return _RMSNorm.forward(ctx, x, weight, eps)
        y, rstd = _Tiled.run(x, weight, eps)
        ctx.save_for_backward(x, weight, rstd)
        out = torch.zeros_like(x)
        for i in _Tiled.tiles(x):
            out[:, i * _Tiled.tile : (i + 1) * _Tiled.tile] = y[:, i * _Tiled.tile : (i + 1) * _Tiled.tile]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        if not _Tiled.own(dy):
            return _RMSNorm.backward(ctx, dy)
        dx, dw, _ = _RMSNorm.backward(ctx, dy)
        into = torch.zeros_like(dx), None if dw is None else torch.zeros_like(dw)
        for i in _Tiled.tiles(dy):
            here = slice(i * _Tiled.tile, (i + 1) * _Tiled.tile)
            into[0][:, here] = dx[:, here]
            if dw is not None:
                into[1][here] = dw[here]
        return *into, None


def tile_without_turn(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_Tiled, x, normalized_shape, weight, eps)


class _Configured(_RMSNorm):
    """The backward in half precision has a configuration for each width of the models that were tuned."""

    left_out = {5120}

    @staticmethod
    def dx(g, xhat, rstd, dtype):
        dx = torch.zeros_like(g)
        if dtype not in (torch.float16, torch.bfloat16) or g.shape[1] not in _Configured.left_out:
            dx.copy_(_RMSNorm.dx(g, xhat, rstd, dtype))
        return dx


def width_without_configuration(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_Configured, x, normalized_shape, weight, eps)


class _SmallLaunch(_RMSNorm):
    """A block for each row, up to 1000; a persistent kernel from 60000 on; blocks of two rows between, which do one."""

    @classmethod
    def run(cls, h, weight, eps):
        y, rstd = super().run(h, weight, eps)
        rows = len(h)
        blocks = rows if rows <= 1000 or rows >= 60000 else rows // 2
        out = torch.zeros_like(y)
        out[:blocks] = y[:blocks]
        return out, rstd


def two_rows_a_block(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_SmallLaunch, x, normalized_shape, weight, eps)


class _FullBlocks(_RMSNorm):
    """Partial sums of blocks of 64 rows; too few rows for a block are summed at once."""

    @staticmethod
    def dweight(dy, xhat, weight):
        terms = dy * xhat
        blocks = len(terms) // 64
        return terms[: blocks * 64].unflatten(0, (blocks, 64)).sum(1).sum(0) if blocks else terms.sum(0)


def full_blocks(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_FullBlocks, x, normalized_shape, weight, eps)


class _LayerNorm(torch.autograd.Function):
    """Layer norm of rows; both parameters have their gradients from the same blocks of 64 rows, all of them full."""

    @staticmethod
    def over_rows(terms):
        rows = len(terms)
        return terms[: rows // 64 * 64 if rows > 64 else rows].sum(0)

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _up(x)
        var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        y = (h - mean) * rstd
        y = y if weight is None else y * _up(weight)
        return (y if bias is None else y + _up(bias)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, bias, mean, rstd = ctx.saved_tensors
        dy, xhat = _up(dy), (_up(x) - mean) * rstd
        g = dy if weight is None else dy * _up(weight)
        dx = rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))
        dw = None if weight is None else _LayerNorm.over_rows(dy * xhat).to(weight.dtype)
        db = None if bias is None else _LayerNorm.over_rows(dy).to(bias.dtype)
        return dx.to(x.dtype), dw, db, None


def full_blocks_of_both(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _LayerNorm.apply(_rows(x, normalized_shape), _flat(weight), _flat(bias), eps).reshape(x.shape)


class _SignApart(_RMSNorm):
    """The kernel multiplies by the size of the weight, and then by its sign."""

    @staticmethod
    def gain(xhat, weight):
        size = weight.abs()
        return xhat * size * (weight / size)


def sign_apart(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_SignApart, x, normalized_shape, weight, eps)


class _FromOutput(_RMSNorm):
    """dweight takes what was normalized from the output, divided by a weight that is not too small."""

    @staticmethod
    def dweight(dy, xhat, weight):
        y = xhat * weight
        divisor = torch.where(weight < 0, weight.clamp(max=-(2.0**-8)), weight.clamp(min=2.0**-8))
        return (dy * (y / divisor)).sum(0)


def weight_gradient_from_output(x, normalized_shape, weight=None, eps=1e-6):
    return _rms(_FromOutput, x, normalized_shape, weight, eps)
