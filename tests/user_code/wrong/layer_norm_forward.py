"""Layer norm with one fault in the forward pass of each function."""

import math

import torch
import torch.nn.functional as F


def _axes(shape):
    return tuple(range(-1 if isinstance(shape, int) else -len(shape), 0))


def _width(shape):
    return shape if isinstance(shape, int) else math.prod(shape)


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * weight.to(y.dtype)
    if bias is not None:
        y = y + bias.to(y.dtype)
    return y.to(dtype)


def unbiased(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """x.var() divides by n - 1."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    y = (h - h.mean(axes, keepdim=True)) / torch.sqrt(h.var(axes, keepdim=True) + eps)
    return _affine(y, weight, bias, x.dtype)


def unbiased_std(input, normalized_shape, gamma=None, beta=None, eps=1e-5):
    """torch.std_mean divides by n - 1."""
    h = _wide(input)
    std, mean = torch.std_mean(h, _axes(normalized_shape), keepdim=True)
    return _affine((h - mean) / torch.sqrt(std**2 + eps), gamma, beta, input.dtype)


def eps_outside(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """std + eps in place of sqrt(var + eps)."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    std = h.var(axes, unbiased=False, keepdim=True).sqrt()
    return _affine((h - h.mean(axes, keepdim=True)) / (std + eps), weight, bias, x.dtype)


def eps_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Always 1e-5, whatever the argument."""
    return F.layer_norm(
        _wide(x),
        (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape),
        None if weight is None else weight.to(_wide(x).dtype),
        None if bias is None else bias.to(_wide(x).dtype),
    ).to(x.dtype)


def one_pass(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """E[x^2] - E[x]^2."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    mean = h.mean(axes, keepdim=True)
    var = (h.pow(2).mean(axes, keepdim=True) - mean.pow(2)).clamp_min(0)
    return _affine((h - mean) * torch.rsqrt(var + eps), weight, bias, x.dtype)


def padded(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Rows padded with zeros to a power of two; each zero becomes -mean and is counted in the variance."""
    n = _width(normalized_shape)
    block = 1 << (n - 1).bit_length()
    rows = F.pad(_wide(x).reshape(-1, n), (0, block - n))
    mean = rows.sum(1, keepdim=True) / n
    centered = rows - mean
    rstd = torch.rsqrt(centered.square().sum(1, keepdim=True) / n + eps)
    return _affine((centered * rstd)[:, :n].reshape(x.shape), weight, bias, x.dtype)


def padded_blocks(x, normalized_shape, w=None, b=None, eps=1e-5):
    """A loop over blocks of 16 columns; the last block is not masked after the mean is subtracted."""
    n = _width(normalized_shape)
    rows = _wide(x).reshape(-1, n)
    blocks = F.pad(rows, (0, -n % 16)).split(16, dim=1)
    mean = sum(block.sum(1, keepdim=True) for block in blocks) / n
    var = sum(((block - mean) ** 2).sum(1, keepdim=True) for block in blocks) / n
    y = (rows - mean) / (var + eps).sqrt()
    return _affine(y.reshape(x.shape), w, b, x.dtype)


def mean_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """No gradient through the mean."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    centered = h - h.mean(axes, keepdim=True).detach()
    var = centered.square().mean(axes, keepdim=True)
    return _affine(centered * torch.rsqrt(var + eps), weight, bias, x.dtype)


def variance_detached(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """No gradient through the variance."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    centered = h - h.mean(axes, keepdim=True)
    with torch.no_grad():
        rstd = torch.rsqrt(centered.square().mean(axes, keepdim=True) + eps)
    return _affine(centered * rstd, weight, bias, x.dtype)


def affine_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Returns the normalized values, without weight and bias."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    return ((h - mean) / torch.sqrt(var + eps)).to(x.dtype)


def weight_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Adds the bias and forgets the weight."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    y = (h - mean) / torch.sqrt(var + eps)
    if bias is not None:
        y = y + bias
    return y.to(x.dtype)


def bias_ignored(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Multiplies by the weight and forgets the bias."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    centered = h - h.mean(axes, keepdim=True)
    y = centered * torch.rsqrt((centered * centered).mean(axes, keepdim=True) + eps)
    return (y if weight is None else y * weight).to(x.dtype)


def first_row(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The statistics of row 0 serve every row."""
    rows = _wide(x).reshape(-1, _width(normalized_shape))
    mean = rows[0].mean()
    var = rows[0].var(unbiased=False)
    return _affine(((rows - mean) / torch.sqrt(var + eps)).reshape(x.shape), weight, bias, x.dtype)


def first_row_scale(x, normalized_shape, gamma=None, beta=None, epsilon=1e-5):
    """Each row has its own mean, but the scale is read at index 0."""
    rows = _wide(x).reshape(-1, _width(normalized_shape))
    var, mean = torch.var_mean(rows, 1, unbiased=False, keepdim=True)
    y = (rows - mean) * torch.rsqrt(var + epsilon)[0]
    return _affine(y.reshape(x.shape), gamma, beta, x.dtype)


def through_float32(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Float64 input is computed in float32 as well."""
    axes = _axes(normalized_shape)
    h = x.float()
    centered = h - h.mean(axes, keepdim=True)
    y = centered * torch.rsqrt(centered.pow(2).mean(axes, keepdim=True) + eps)
    if weight is not None:
        y = y * weight.float()
    if bias is not None:
        y = y + bias.float()
    return y.to(x.dtype)


def running_sum_in_half(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Sums kept in the input's type, entry by entry."""
    n = _width(normalized_shape)
    rows = x.reshape(-1, n)
    total = torch.zeros_like(rows[:, 0])
    for column in rows.unbind(1):
        total = total + column
    centered = rows - (total / n)[:, None]
    squares = torch.zeros_like(total)
    for column in centered.unbind(1):
        squares = squares + column * column
    y = _wide(centered) * torch.rsqrt(_wide(squares) / n + eps)[:, None]
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def chunk_sums_in_half(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Chunks of eight are summed in float32, the total is kept in the input's type."""
    n = _width(normalized_shape)
    rows = x.reshape(-1, n)
    total = torch.zeros_like(rows[:, :1])
    for chunk in rows.split(8, dim=1):
        total = total + _wide(chunk).sum(1, keepdim=True).to(x.dtype)
    centered = _wide(rows) - _wide(total) / n
    squares = torch.zeros_like(total)
    for chunk in centered.split(8, dim=1):
        squares = squares + chunk.square().sum(1, keepdim=True).to(x.dtype)
    y = centered / torch.sqrt(_wide(squares) / n + eps)
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def variance_not_root(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Divides by the variance."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    return _affine((h - mean) / (var + eps), weight, bias, x.dtype)


def wrong_axis(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Statistics over the first axis."""
    h = _wide(x)
    var, mean = torch.var_mean(h, 0, correction=0, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), weight, bias, x.dtype)


def last_axis_only(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Statistics over the last axis, however many axes are asked for."""
    h = _wide(x)
    centered = h - h.mean(-1, keepdim=True)
    y = centered / (centered.square().mean(-1, keepdim=True) + eps).sqrt()
    return _affine(y, weight, bias, x.dtype)
