"""Hand-written backward passes with one wrong line each; every output is right.

`_layer` is a correct layer norm around the three sums of its backward, which each function below replaces.
"""

import math
from collections import namedtuple

import torch
from torch.autograd.function import once_differentiable

S = namedtuple("S", "x mean var eps rstd xhat dy g weight rows")


def _dx(s):
    return s.rstd * (s.g - s.g.mean(1, keepdim=True) - s.xhat * (s.g * s.xhat).mean(1, keepdim=True))


def _dweight(s):
    return (s.dy * s.xhat).sum(0)


def _dbias(s):
    return s.dy.sum(0)


def _layer(dx=_dx, dweight=_dweight, dbias=_dbias):
    class LayerNorm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, shape, weight, bias, eps):
            n = shape if isinstance(shape, int) else math.prod(shape)
            h = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, n)
            mean = h.mean(1, keepdim=True)
            var = (h - mean).square().mean(1, keepdim=True)
            ctx.save_for_backward(h, mean, var, weight, bias)
            ctx.eps, ctx.dtype = eps, x.dtype
            y = (h - mean) / torch.sqrt(var + eps)
            y = y if weight is None else y * weight.reshape(-1)
            y = y if bias is None else y + bias.reshape(-1)
            return y.reshape(x.shape).to(x.dtype)

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            h, mean, var, weight, bias = ctx.saved_tensors
            dy = grad.to(h.dtype).reshape(h.shape)
            w = None if weight is None else weight.reshape(-1).to(h.dtype)
            g = dy if w is None else dy * w
            rstd = torch.rsqrt(var + ctx.eps)
            s = S(h, mean, var, ctx.eps, rstd, (h - mean) * rstd, dy, g, w, len(h))
            dw, db = (
                None if p is None or (d := rule(s)) is None else d.reshape(p.shape).to(p.dtype)
                for p, rule in ((weight, dweight), (bias, dbias))
            )
            return dx(s).reshape(grad.shape).to(ctx.dtype), None, dw, db, None

    def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return LayerNorm.apply(x, normalized_shape, weight, bias, eps)

    return layer_norm


def _mean_twice(s):
    center = s.g.mean(1, keepdim=True)
    g = s.g - center
    return s.rstd * (g - center - s.xhat * (g * s.xhat).mean(1, keepdim=True))


mean_twice = _layer(dx=_mean_twice)


def _factor_two(s):
    """d var carries the 2 of the square, d std forgets its 1/2."""
    c = s.x - s.mean
    dvar = -(s.g * c).sum(1, keepdim=True) * s.rstd**3
    dx = s.g * s.rstd + dvar * 2 * c / s.x.shape[1]
    return dx - (s.g * s.rstd).mean(1, keepdim=True)


factor_two = _layer(dx=_factor_two)


def _plus(s):
    return s.rstd * (s.g - s.g.mean(1, keepdim=True) + s.xhat * (s.g * s.xhat).mean(1, keepdim=True))


plus = _layer(dx=_plus)


def _bessel(s):
    n = s.x.shape[1]
    return s.rstd * (s.g - s.g.sum(1, keepdim=True) / n - s.xhat * (s.g * s.xhat).sum(1, keepdim=True) / (n - 1))


bessel = _layer(dx=_bessel)


def _no_eps(s):
    rstd = torch.rsqrt(s.var)
    xhat = (s.x - s.mean) * rstd
    return rstd * (s.g - s.g.mean(1, keepdim=True) - xhat * (s.g * xhat).mean(1, keepdim=True))


no_eps = _layer(dx=_no_eps)


def _all_rows(s):
    """mean() without a dim."""
    dx = s.rstd * (s.g - s.xhat * (s.g * s.xhat).mean(1, keepdim=True))
    return dx - dx.mean()


all_rows = _layer(dx=_all_rows)


def _all_rows_of_cotangent(s):
    """mean() without a dim, before the division."""
    return s.rstd * (s.g - s.g.mean() - s.xhat * (s.g * s.xhat).mean(1, keepdim=True))


all_rows_of_cotangent = _layer(dx=_all_rows_of_cotangent)


def _weight_at_the_end(s):
    dx = s.rstd * (s.dy - s.dy.mean(1, keepdim=True) - s.xhat * (s.dy * s.xhat).mean(1, keepdim=True))
    return dx if s.weight is None else dx * s.weight


weight_at_the_end = _layer(dx=_weight_at_the_end)


def _weight_twice(s):
    return _dx(s) if s.weight is None else _dx(s) * s.weight


weight_twice = _layer(dx=_weight_twice)


def _undivided(s):
    return s.g - s.g.mean(1, keepdim=True) - s.xhat * (s.g * s.xhat).mean(1, keepdim=True)


undivided = _layer(dx=_undivided)


def _fudged(s):
    """A factor that made an old gradcheck pass."""
    return _dx(s) * 1.000001


fudged = _layer(dx=_fudged)


def _single(s):
    g, xhat, rstd = s.g.float(), s.xhat.float(), s.rstd.float()
    return (rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))).to(s.x.dtype)


single = _layer(dx=_single)


def _nothing(s):
    """TODO."""
    return torch.zeros_like(s.x)


nothing = _layer(dx=_nothing)


def _mean_over_rows(s):
    return (s.dy * s.xhat).mean(0)


weight_gradient_averaged = _layer(dweight=_mean_over_rows)


def _all_but_last(s):
    total = torch.zeros_like(s.x[0])
    for row in range(s.rows - 1):
        total = total + s.dy[row] * s.xhat[row]
    return total


last_row_forgotten = _layer(dweight=_all_but_last)


def _whole_blocks(s):
    """Partial sums of four rows each; what does not fill a block has none."""
    blocks = s.rows // 4
    return (s.dy * s.xhat)[: blocks * 4].reshape(blocks, 4, -1).sum(1).sum(0)


rest_of_rows_forgotten = _layer(dweight=_whole_blocks)


def _no_gradient(s):
    return None


no_weight_gradient = _layer(dweight=_no_gradient)
no_bias_gradient = _layer(dbias=_no_gradient)
swapped = _layer(dweight=_dbias, dbias=_dweight)


def _bias_with_weight(s):
    """Both are accumulated in the loop that is entered for a weight."""
    return None if s.weight is None else s.dy.sum(0)


bias_needs_weight = _layer(dbias=_bias_with_weight)
