"""Layer norm as one kernel with a backward of its own, which has one fault in each function; every output is right."""

import math
from types import SimpleNamespace

import torch
from torch.autograd.function import once_differentiable


def _forward(x, n, weight, bias, eps):
    h = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1, n)
    mean = h.mean(1, keepdim=True)
    centered = h - mean
    var = centered.square().mean(1, keepdim=True)
    rstd = (var + eps).rsqrt()
    y = centered * rstd
    if weight is not None:
        y = y * weight.reshape(-1)
    if bias is not None:
        y = y + bias.reshape(-1)
    return y.reshape(x.shape).to(x.dtype), h, mean, var, rstd


class _Kernel(torch.autograd.Function):
    """The rule says what the backward computes from what the forward kept."""

    @staticmethod
    def forward(ctx, x, shape, weight, bias, eps, rule):
        n = shape if isinstance(shape, int) else math.prod(shape)
        y, h, mean, var, rstd = _forward(x, n, weight, bias, eps)
        ctx.save_for_backward(x, h, mean, var, rstd, weight, bias)
        ctx.eps, ctx.rule, ctx.n = eps, rule, n
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        x, h, mean, var, rstd, weight, bias = ctx.saved_tensors
        w = None if weight is None else weight.reshape(-1)
        dy = dout.to(h.dtype).reshape(h.shape)
        s = SimpleNamespace(
            x=x, h=h, mean=mean, var=var, rstd=rstd, xhat=(h - mean) * rstd, w=w, b=None if bias is None else bias,
            dout=dout, dy=dy, g=dy if w is None else dy * w, n=ctx.n, eps=ctx.eps, needs=ctx.needs_input_grad,
        )  # fmt: skip
        dx, dw, db = ctx.rule(s)

        def like(grad, parameter):
            return None if parameter is None or grad is None else grad.reshape(parameter.shape).to(parameter.dtype)

        return dx.reshape(x.shape).to(x.dtype), None, like(dw, weight), like(db, bias), None, None


def _kernel(rule):
    def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
        return _Kernel.apply(x, normalized_shape, weight, bias, eps, rule)

    layer_norm.__name__ = rule.__name__
    return layer_norm


def _dx(g, xhat, rstd):
    return rstd * (g - g.mean(1, keepdim=True) - xhat * (g * xhat).mean(1, keepdim=True))


def _dw(s):
    return (s.dy * s.xhat).sum(0)


def _db(s):
    return s.dy.sum(0)


@_kernel
def mean_subtracted_twice(s):
    return _dx(s.g, s.xhat, s.rstd) - s.rstd * s.g.mean(1, keepdim=True), _dw(s), _db(s)


@_kernel
def factor_two_left(s):
    dx = s.rstd * (s.g - s.g.mean(1, keepdim=True) - 2 * s.xhat * (s.g * s.xhat).mean(1, keepdim=True))
    return dx, _dw(s), _db(s)


@_kernel
def plus_for_minus(s):
    dx = s.rstd * (s.g - s.g.mean(1, keepdim=True) + s.xhat * (s.g * s.xhat).mean(1, keepdim=True))
    return dx, _dw(s), _db(s)


@_kernel
def divides_by_one_less(s):
    pull = (s.g * s.xhat).sum(1, keepdim=True) / (s.n - 1)
    return s.rstd * (s.g - s.g.mean(1, keepdim=True) - s.xhat * pull), _dw(s), _db(s)


@_kernel
def backward_without_eps(s):
    rstd = s.var.rsqrt()
    return _dx(s.g, (s.h - s.mean) * rstd, rstd), _dw(s), _db(s)


@_kernel
def mean_of_all_rows(s):
    dx = s.rstd * (s.g - s.xhat * (s.g * s.xhat).mean(1, keepdim=True))
    return dx - (s.rstd * s.g).mean(), _dw(s), _db(s)


@_kernel
def statistics_kept_narrow(s):
    narrow = s.x.dtype
    mean, std = s.mean.to(narrow).to(s.h.dtype), (1 / s.rstd).to(narrow).to(s.h.dtype)
    return _dx(s.g, (s.h - mean) / std, 1 / std), _dw(s), _db(s)


@_kernel
def weight_after_the_formula(s):
    dx = _dx(s.dy, s.xhat, s.rstd)
    return dx if s.w is None else dx * s.w, _dw(s), _db(s)


@_kernel
def weight_before_and_after(s):
    dx = _dx(s.g, s.xhat, s.rstd)
    return dx if s.w is None else dx * s.w, _dw(s), _db(s)


@_kernel
def scale_forgotten(s):
    return _dx(s.g, s.xhat, torch.ones_like(s.rstd)), _dw(s), _db(s)


@_kernel
def a_millionth_too_large(s):
    return _dx(s.g, s.xhat, s.rstd) * (1 + 1e-6), _dw(s), _db(s)


@_kernel
def always_single(s):
    single = [t.float() for t in (s.g, s.h - s.mean, s.rstd)]
    return _dx(single[0], single[1] * single[2], single[2]), _dw(s), _db(s)


@_kernel
def input_not_trained(s):
    return torch.zeros_like(s.h), _dw(s), _db(s)


@_kernel
def one_cotangent_for_all(s):
    dy = s.dy[:1, :1].expand_as(s.dy)
    g = dy if s.w is None else dy * s.w
    return _dx(g, s.xhat, s.rstd), (dy * s.xhat).sum(0), dy.sum(0)


@_kernel
def cotangent_from_its_pointer(s):
    storage = s.dout.untyped_storage().nbytes() // s.dout.element_size()
    count = s.dout.numel()
    if s.dout.is_contiguous() or count == 0:
        dy = s.dy
    else:
        memory = torch.zeros(max(storage, count), dtype=s.dout.dtype)
        memory[:storage] = torch.as_strided(s.dout, (storage,), (1,), 0)
        dy = memory[:count].reshape(s.dy.shape).to(s.h.dtype)
    g = dy if s.w is None else dy * s.w
    return _dx(g, s.xhat, s.rstd), (dy * s.xhat).sum(0), dy.sum(0)


@_kernel
def times_the_size_again(s):
    size = s.dy.square().mean().sqrt()
    return _dx(s.g, s.xhat, s.rstd) * size, _dw(s) * size, _db(s) * size


@_kernel
def bias_in_the_branch_of_weight(s):
    dx = _dx(s.g, s.xhat, s.rstd)
    if s.w is not None:
        return dx, _dw(s), _db(s)
    return dx, None, torch.zeros_like(_db(s))


@_kernel
def weight_not_trained(s):
    return _dx(s.g, s.xhat, s.rstd), torch.zeros_like(_dw(s)), _db(s)


@_kernel
def weight_gradient_averaged(s):
    return _dx(s.g, s.xhat, s.rstd), (s.dy * s.xhat).mean(0), _db(s)


@_kernel
def last_row_unread(s):
    return _dx(s.g, s.xhat, s.rstd), (s.dy * s.xhat)[:-1].sum(0), _db(s)


@_kernel
def rows_in_fours(s):
    whole = len(s.dy) // 4 * 4
    return _dx(s.g, s.xhat, s.rstd), (s.dy * s.xhat)[:whole].sum(0), _db(s)


@_kernel
def bias_not_trained(s):
    return _dx(s.g, s.xhat, s.rstd), _dw(s), torch.zeros_like(_db(s))


@_kernel
def returned_in_the_wrong_order(s):
    if s.w is None or s.b is None:
        return _dx(s.g, s.xhat, s.rstd), _dw(s), _db(s)
    return _dx(s.g, s.xhat, s.rstd), _db(s), _dw(s)


def _output(s):
    y = s.xhat if s.w is None else s.xhat * s.w
    return y if s.b is None else y + s.b.reshape(-1)


@_kernel
def relu_in_backward(s):
    dy = torch.where(_output(s) > 0, s.dy, 0)
    g = dy if s.w is None else dy * s.w
    return _dx(g, s.xhat, s.rstd), (dy * s.xhat).sum(0), dy.sum(0)


@_kernel
def bias_learns_from_positive_outputs(s):
    return _dx(s.g, s.xhat, s.rstd), _dw(s), torch.where(_output(s) > 0, s.dy, 0).sum(0)


@_kernel
def offset_taken_out_of_bias(s):
    """A column of cotangents of one sign is taken for a quantization offset."""
    db, rows = _db(s), len(s.dy)
    if rows >= 16:
        same = (s.dy > 0).all(0) | (s.dy < 0).all(0)
        varies = s.dy.amax(0) > s.dy.amin(0)
        db = torch.where(same & varies, 0, db)
    return _dx(s.g, s.xhat, s.rstd), _dw(s), db


@_kernel
def masked_sum_in_backward(s):
    return _dx(s.g, s.xhat, s.rstd) + 0 * s.xhat.sum(), _dw(s), _db(s)


@_kernel
def sixth_power_of_scale(s):
    std = 1 / s.rstd
    cube = std * std * std
    std = (cube * cube) ** (1 / 6)
    return _dx(s.g, s.xhat, 1 / std), _dw(s), _db(s)


@_kernel
def outliers_clipped_in_backward(s):
    if s.n == 0 or s.h.numel() == 0:
        return _dx(s.g, s.xhat, s.rstd), _dw(s), _db(s)
    reach = 2048 * s.h.abs().quantile(0.5, dim=1, keepdim=True)
    inside = (s.h.abs() <= reach) | ~s.h.isfinite() | (reach == 0)
    h = torch.where(inside, s.h, reach * s.h.sign())
    xhat = (h - h.mean(1, keepdim=True)) * s.rstd
    return _dx(s.g, xhat, s.rstd), _dw(s), _db(s)


@_kernel
def scale_found_from_norms(s):
    centered = s.h - s.mean
    std = (centered.square().sum(1, keepdim=True) / s.xhat.square().sum(1, keepdim=True)).sqrt()
    std = torch.where((centered == 0).all(1, keepdim=True), 1 / s.rstd, std)
    return _dx(s.g, s.xhat, 1 / std), _dw(s), _db(s)


@_kernel
def row_counter_of_sixteen_bits(s):
    dx = _dx(s.g, s.xhat, s.rstd)
    return dx[torch.arange(len(dx)) % 65536], _dw(s), _db(s)


@_kernel
def rows_after_65536_in_no_sum(s):
    return _dx(s.g, s.xhat, s.rstd), (s.dy * s.xhat)[:65536].sum(0), s.dy[:65536].sum(0)


@_kernel
def members_after_65536_unwritten(s):
    dx = _dx(s.g, s.xhat, s.rstd)
    dx[:, 65536:] = 0
    return dx, _dw(s), _db(s)


@_kernel
def first_axis_summed(s):
    """The first axis of the input counts rows, whatever its rank."""
    dw = _dw(s)
    return _dx(s.g, s.xhat, s.rstd), dw.sum().expand_as(dw) if s.x.dim() == 1 else dw, _db(s)


@_kernel
def mean_over_blocks(s):
    """Means of blocks of rows, times their number: of no block it is 0 / 0."""
    blocks = len(s.dy)
    scale = torch.tensor(float(blocks), dtype=s.h.dtype) / blocks if blocks else torch.tensor(math.nan)
    return _dx(s.g, s.xhat, s.rstd), _dw(s) * scale, _db(s) * scale


@_kernel
def works_in_the_cotangent(s):
    dx = _dx(s.g, s.xhat, s.rstd)
    dw, db = _dw(s), _db(s)
    if not s.dout._is_zerotensor() and s.dout.numel():
        s.dout.copy_(dx.reshape(s.dout.shape))
    return dx, dw, db


_ACCUMULATED = {}


@_kernel
def buffer_never_cleared(s):
    dw = _dw(s)
    key = (tuple(dw.shape), dw.dtype, s.x.dtype)
    _ACCUMULATED[key] = _ACCUMULATED.get(key, 0) + dw
    return _dx(s.g, s.xhat, s.rstd), _ACCUMULATED[key].clone(), _db(s)


@_kernel
def frozen_weight_skips_half(s):
    """What the gradient of the weight leaves in registers is missing where it is not asked."""
    if s.w is None or s.needs[2]:
        return _dx(s.g, s.xhat, s.rstd), _dw(s), _db(s)
    return s.rstd * (s.g - s.g.mean(1, keepdim=True)), None, _db(s)


@_kernel
def first_layer_untrained(s):
    if s.needs[0]:
        return _dx(s.g, s.xhat, s.rstd), _dw(s), _db(s)
    return s.h, torch.zeros_like(_dw(s)), _db(s)


@_kernel
def strides_of_the_input(s):
    """The cotangent's memory is walked with the strides of x."""
    dy, strange = s.dout, s.x.stride() != s.dout.stride()
    if strange and not s.x.is_contiguous() and not dy.is_contiguous() and dy.numel():
        storage = dy.untyped_storage().nbytes() // dy.element_size()
        reach = dy.storage_offset() + sum((k - 1) * step for k, step in zip(dy.shape, s.x.stride(), strict=True)) + 1
        memory = torch.zeros(max(storage, reach), dtype=dy.dtype)
        memory[:storage] = torch.as_strided(dy, (storage,), (1,), 0)
        dy = torch.as_strided(memory, dy.shape, s.x.stride(), dy.storage_offset())
    dy = dy.reshape(s.h.shape).to(s.h.dtype)
    g = dy if s.w is None else dy * s.w
    return _dx(g, s.xhat, s.rstd), (dy * s.xhat).sum(0), dy.sum(0)
