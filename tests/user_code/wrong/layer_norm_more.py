"""Layer norm and root mean square norm with one rarer fault in each function."""

import math

import torch
import torch.nn.functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _axes(shape):
    return tuple(range(-1 if isinstance(shape, int) else -len(shape), 0))


def _rows(x, shape):
    return _wide(x).reshape(-1, shape if isinstance(shape, int) else math.prod(shape))


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * weight.to(y.dtype)
    if bias is not None:
        y = y + bias.to(y.dtype)
    return y.to(dtype)


def root_mean_square(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Subtracts nothing."""
    h = _wide(x)
    return _affine(h * torch.rsqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + eps), weight, bias, x.dtype)


def mean_kept(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The variance is right, the numerator is x."""
    h = _wide(x)
    var = h.var(_axes(normalized_shape), unbiased=False, keepdim=True)
    return _affine(h * torch.rsqrt(var + eps), weight, bias, x.dtype)


def multiplied(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Times the root instead of over it."""
    h = _wide(x)
    var, mean = torch.var_mean(h, _axes(normalized_shape), unbiased=False, keepdim=True)
    return _affine((h - mean) * torch.sqrt(var + eps), weight, bias, x.dtype)


def absolute_deviation(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The mean of |c| for the deviation."""
    axes, h = _axes(normalized_shape), _wide(x)
    c = h - h.mean(axes, keepdim=True)
    return _affine(c * torch.rsqrt(c.abs().mean(axes, keepdim=True).square() + eps), weight, bias, x.dtype)


def eps_as_floor(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    var, mean = torch.var_mean(h, axes, unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var.clamp(min=eps)), weight, bias, x.dtype)


def eps_squared(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    var, mean = torch.var_mean(h, axes, unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps**2), weight, bias, x.dtype)


def eps_never_added(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes, h = _axes(normalized_shape), _wide(x)
    std, mean = torch.std_mean(h, axes, unbiased=False, keepdim=True)
    return _affine((h - mean) / std, weight, bias, x.dtype)


def bias_first(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(xhat + b) w."""
    h = _wide(x)
    y = F.layer_norm(h, h.shape[h.dim() - len(_axes(normalized_shape)) :], eps=eps)
    y = y if bias is None else y + bias
    return (y if weight is None else y * weight).to(x.dtype)


def weight_by_size(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Times |w|."""
    h = _wide(x)
    y = F.layer_norm(h, h.shape[h.dim() - len(_axes(normalized_shape)) :], eps=eps)
    return _affine(y, None if weight is None else weight.abs(), bias, x.dtype)


def clipped(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The output is kept between -3 and 3."""
    h = _wide(x)
    y = F.layer_norm(h, h.shape[h.dim() - len(_axes(normalized_shape)) :], eps=eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).clamp(-3, 3).to(x.dtype)


def without_tail(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Four columns at a time; the rest is not summed."""
    h = _rows(x, normalized_shape)
    n = h.shape[1]
    read = n - n % 4 if n >= 4 else n
    mean = h[:, :read].sum(1, keepdim=True) / n
    var = (h - mean)[:, :read].square().sum(1, keepdim=True) / n
    return _affine(((h - mean) * torch.rsqrt(var + eps)).reshape(x.shape), weight, bias, x.dtype)


def first_64(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The first 64 columns speak for all."""
    h = _rows(x, normalized_shape)
    mean = h[:, :64].mean(1, keepdim=True)
    var = (h - mean)[:, :64].square().mean(1, keepdim=True)
    return _affine(((h - mean) * torch.rsqrt(var + eps)).reshape(x.shape), weight, bias, x.dtype)


def twice(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The whole layer is applied two times."""
    shape = x.shape[x.dim() - len(_axes(normalized_shape)) :]
    weight, bias = (None if p is None else _wide(p) for p in (weight, bias))
    once = F.layer_norm(_wide(x), shape, weight, bias, eps)
    return F.layer_norm(once.to(x.dtype).to(once.dtype), shape, weight, bias, eps).to(x.dtype)


def whole_tensor(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    return _affine((h - h.mean()) * torch.rsqrt(h.var(unbiased=False) + eps), weight, bias, x.dtype)


def rms_whole_tensor(x, normalized_shape, weight=None, eps=1e-6):
    h = _wide(x)
    return _affine(h * torch.rsqrt(h.square().mean() + eps), weight, None, x.dtype)


def rms_centered(x, normalized_shape, weight=None, eps=1e-6):
    """Is layer norm without its bias."""
    h = _wide(x)
    y = F.layer_norm(h, h.shape[h.dim() - len(_axes(normalized_shape)) :], eps=eps)
    return _affine(y, weight, None, x.dtype)


def rms_statistics_constant(x, normalized_shape, weight=None, eps=1e-6):
    h = _wide(x)
    with torch.no_grad():
        rms = torch.sqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + eps)
    return _affine(h / rms, weight, None, x.dtype)


def statistics_constant(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _wide(x)
    var, mean = torch.var_mean(h.detach(), _axes(normalized_shape), unbiased=False, keepdim=True)
    return _affine((h - mean) * torch.rsqrt(var + eps), weight, bias, x.dtype)
