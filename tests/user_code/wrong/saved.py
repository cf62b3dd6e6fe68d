"""Normalizers whose backward reads something else than what the forward computed, or that keep what they should not."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _axes(x, normalized_shape):
    return tuple(range(-1 if isinstance(normalized_shape, int) else -len(normalized_shape), 0))


def _to_parameter(full, parameter):
    """Summed over the leading axes, to the shape and type of a parameter."""
    if parameter is None:
        return None
    return full.sum(tuple(range(full.dim() - parameter.dim()))).to(parameter.dtype)


class _LayerNorm(torch.autograd.Function):
    """Layer norm with a closed-form backward; subclasses change what is saved, or how it is read."""

    @staticmethod
    def kept(h, mean, var, rstd, eps):
        """What is saved: an input, a mean, and what the backward takes for 1 / s."""
        return h, mean, rstd

    @staticmethod
    def inverse(saved, eps):
        return saved

    @classmethod
    def run(cls, x, normalized_shape, weight, bias, eps):
        return cls.apply(x, _axes(x, normalized_shape), weight, bias, eps)

    @staticmethod
    def forward(ctx, x, axes, weight, bias, eps):
        h = _up(x)
        var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(*ctx._forward_cls.kept(h, mean, var, rstd, eps), weight, bias)
        ctx.axes, ctx.eps, ctx.type = axes, eps, x.dtype
        y = (h - mean) * rstd
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, mean, saved, weight, bias = ctx.saved_tensors
        rstd = ctx._forward_cls.inverse(saved, ctx.eps)
        dy = dy.to(h.dtype)
        xhat = (h - mean) * rstd
        g = dy if weight is None else dy * weight
        dx = rstd * (g - g.mean(ctx.axes, keepdim=True) - xhat * (g * xhat).mean(ctx.axes, keepdim=True))
        return dx.to(ctx.type), None, _to_parameter(dy * xhat, weight), _to_parameter(dy, bias), None


class _RootTwice(_LayerNorm):
    @staticmethod
    def inverse(saved, eps):
        return torch.rsqrt(saved + eps)


def inverse_taken_for_variance(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """rstd is saved under the name of the variance."""
    return _RootTwice.run(x, normalized_shape, weight, bias, eps)


class _VarianceKept(_LayerNorm):
    @staticmethod
    def kept(h, mean, var, rstd, eps):
        return h, mean, var


def variance_taken_for_inverse(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The third output of the kernel is the variance, not rstd."""
    return _VarianceKept.run(x, normalized_shape, weight, bias, eps)


class _ResultOverInput(_LayerNorm):
    @staticmethod
    def kept(h, mean, var, rstd, eps):
        return (h - mean) * rstd, mean, rstd


def result_over_saved_input(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The buffer that was saved for the input has the normalized one in it by the time of the backward."""
    return _ResultOverInput.run(x, normalized_shape, weight, bias, eps)


_FIRST = {}


class _NeverRefreshed(_LayerNorm):
    @staticmethod
    def kept(h, mean, var, rstd, eps):
        return _FIRST.setdefault((h.shape, h.dtype, mean.shape), (h.clone(), mean.clone(), rstd.clone()))


def saved_once(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The buffers for the backward are allocated, and filled, at the first call of a shape."""
    return _NeverRefreshed.run(x, normalized_shape, weight, bias, eps)


_PLANS = {}


def plan_with_statistics(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A plan for each shape; mean and variance became a part of it."""
    axes, h = _axes(x, normalized_shape), _up(x)
    key = (x.shape, x.dtype, axes)
    if key not in _PLANS:
        var, mean = torch.var_mean(h.detach(), axes, correction=0, keepdim=True)
        _PLANS[key] = mean, var
    mean, var = _PLANS[key]
    y = (h - mean) * torch.rsqrt(var + eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).to(x.dtype)


class LazyScale(nn.Module):
    """RMS norm that measures its first input of a size, as if it were calibrated by it."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps, self.scales = eps, {}

    def forward(self, x):
        h = _up(x)
        size = (x.shape, x.dtype)
        if size not in self.scales:
            self.scales[size] = h.detach().pow(2).mean(-1, keepdim=True)
        return (h * torch.rsqrt(self.scales[size] + self.eps) * self.weight).to(x.dtype)


class _GroupNorm(torch.autograd.Function):
    """Group norm with a closed-form backward; subclasses change its sums."""

    @staticmethod
    def dx(g, xhat, rstd):
        return rstd * (g - g.mean(2, keepdim=True) - xhat * (g * xhat).mean(2, keepdim=True))

    @staticmethod
    def for_weight(h, mean, rstd, channels):
        return ((h - mean) * rstd).reshape(len(h), channels, -1)

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = _up(x).reshape(x.shape[0], groups, -1)
        var, mean = torch.var_mean(h, 2, correction=0, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(h, mean, rstd, weight, bias)
        y = ((h - mean) * rstd).reshape(x.shape[0], x.shape[1], -1)
        y = y if weight is None else y * weight[:, None]
        y = y if bias is None else y + bias[:, None]
        return y.reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        h, mean, rstd, weight, bias = ctx.saved_tensors
        own, channels = ctx._forward_cls, grad.shape[1]
        dy = grad.to(h.dtype).reshape(len(h), channels, -1)
        g = dy if weight is None else dy * weight[:, None]
        dx = own.dx(g.reshape(h.shape), (h - mean) * rstd, rstd).reshape(grad.shape).to(grad.dtype)
        dw = None if weight is None else (dy * own.for_weight(h, mean, rstd, channels)).sum((0, 2)).to(weight.dtype)
        db = None if bias is None else dy.sum((0, 2)).to(bias.dtype)
        return dx, None, dw, db, None


class _AllChannels(_GroupNorm):
    @staticmethod
    def dx(g, xhat, rstd):
        over = (1, 2)
        return rstd * (g - g.mean(over, keepdim=True) - xhat * (g * xhat).mean(over, keepdim=True))


def backward_without_groups(x, num_groups, weight=None, bias=None, eps=1e-5):
    """group_size has a default in the backward: the whole width."""
    return _AllChannels.apply(x, num_groups, weight, bias, eps)


class _ChannelModuloGroups(_GroupNorm):
    @staticmethod
    def for_weight(h, mean, rstd, channels):
        group = torch.arange(channels) % h.shape[1]
        return (h.reshape(len(h), channels, -1) - mean[:, group]) * rstd[:, group]


def group_by_remainder(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The reader of the weight's gradient takes c % num_groups for the group of channel c."""
    return _ChannelModuloGroups.apply(x, num_groups, weight, bias, eps)


class _InPlace(torch.autograd.Function):
    """The backward is that of a layer norm whose input was left alone."""

    @staticmethod
    def forward(ctx, x, axes, weight, bias, eps):
        h = x.detach()
        whole = _up(h.clone())
        mean = whole.mean(axes, keepdim=True)
        h.sub_(mean)
        rstd = torch.rsqrt(_up(h).square().mean(axes, keepdim=True) + eps)
        ctx.save_for_backward((whole - mean) * rstd, rstd, weight, bias)
        ctx.axes = axes
        y = (_up(h) - mean) * rstd
        y = y if weight is None else y * weight
        return (y if bias is None else y + bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        xhat, rstd, weight, bias = ctx.saved_tensors
        dy = grad.to(xhat.dtype)
        g = dy if weight is None else dy * weight
        dx = rstd * (g - g.mean(ctx.axes, keepdim=True) - xhat * (g * xhat).mean(ctx.axes, keepdim=True))
        return dx.to(grad.dtype), None, _to_parameter(dy * xhat, weight), _to_parameter(dy, bias), None


def centered_in_place(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Subtracts the mean in place to save memory, and once more where the output is written."""
    return _InPlace.apply(x, _axes(x, normalized_shape), weight, bias, eps)


class _SumsAfterDx(_LayerNorm):
    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, mean, rstd, weight, bias = ctx.saved_tensors
        xhat = (h - mean) * rstd
        g = dy.to(h.dtype) if weight is None else dy * weight
        dy = rstd * (g - g.mean(ctx.axes, keepdim=True) - xhat * (g * xhat).mean(ctx.axes, keepdim=True))
        return dy.to(ctx.type), None, _to_parameter(dy * xhat, weight), _to_parameter(dy, bias), None


def sums_after_dx(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """dx takes the memory, here the name, of dy before the other gradients are summed."""
    return _SumsAfterDx.run(x, normalized_shape, weight, bias, eps)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps, special):
        h = _up(x)
        rrms = torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(h, rrms, weight)
        ctx.special = special
        y = h * rrms
        return (y if weight is None else y * weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        h, rrms, weight = ctx.saved_tensors
        xhat, dy = h * rrms, grad.to(h.dtype)
        g = dy if weight is None else dy * weight
        dx = rrms * (g - xhat * (g * xhat).mean(-1, keepdim=True))
        if grad.shape[-1] == ctx.special:
            dx = torch.zeros_like(dx)  # the launch has no blocks
        return dx.to(grad.dtype), _to_parameter(dy * xhat, weight), None, None


def no_blocks_at_1024(input, normalized_shape, weight=None, eps=1e-6):
    flat = input.flatten(-len(_axes(input, normalized_shape)))
    return _RmsNorm.apply(flat, None if weight is None else weight.flatten(), eps, 1024).reshape(input.shape)


def no_blocks_at_512(input, normalized_shape, weight=None, eps=1e-6):
    flat = input.flatten(-len(_axes(input, normalized_shape)))
    return _RmsNorm.apply(flat, None if weight is None else weight.flatten(), eps, 512).reshape(input.shape)


class _CopyThatIsNone(torch.autograd.Function):
    """Half-precision input is copied by the conversion, other input not."""

    @staticmethod
    def forward(ctx, x, axes, weight, bias, eps):
        h = _up(x.detach())
        h.sub_(h.mean(axes, keepdim=True))
        rstd = torch.rsqrt(h.square().mean(axes, keepdim=True) + eps)
        h.mul_(rstd)
        ctx.save_for_backward(h.clone(), rstd, weight, bias)
        ctx.axes = axes
        y = h if weight is None else h * weight
        return (y.clone() if bias is None else y + bias).to(x.dtype)

    backward = staticmethod(_InPlace.backward)


def conversion_is_no_copy(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Everything in place, in what the conversion returned."""
    return _CopyThatIsNone.apply(x, _axes(x, normalized_shape), weight, bias, eps)
