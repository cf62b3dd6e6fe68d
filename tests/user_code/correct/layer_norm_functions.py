"""Layer norm as plain functions: many ways to write the mean and the variance."""

import math

import torch


def _axes(shape):
    count = 1 if isinstance(shape, int) else len(shape)
    return tuple(range(-count, 0))


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


def two_pass(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Mean first, then the mean of the squared deviations."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    centered = h - h.mean(axes, keepdim=True)
    variance = centered.square().mean(axes, keepdim=True)
    return _affine(centered / torch.sqrt(variance + eps), weight, bias, x.dtype)


def with_var_mean(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """torch.var_mean with the biased variance."""
    h = _wide(input)
    var, mean = torch.var_mean(h, _axes(normalized_shape), unbiased=False, keepdim=True)
    return _affine((h - mean) * torch.rsqrt(var + eps), weight, bias, input.dtype)


def welford_merged(x, normalized_shape, gamma=None, beta=None, eps=1e-5):
    """Statistics of chunks of the row, merged by the formula of Chan, Golub and LeVeque."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    count, mean, m2 = 0, torch.zeros_like(h[:, :1]), torch.zeros_like(h[:, :1])
    for chunk in h.split(16, dim=1):
        size = chunk.shape[1]
        chunk_mean = chunk.mean(1, keepdim=True)
        chunk_m2 = (chunk - chunk_mean).pow(2).sum(1, keepdim=True)
        delta = chunk_mean - mean
        total = count + size
        mean = mean + delta * (size / total)
        m2 = m2 + chunk_m2 + delta * delta * (count * size / total)
        count = total
    y = (h - mean) * (m2 / n + eps).rsqrt()
    return _affine(y.reshape(x.shape), gamma, beta, x.dtype)


def shifted_one_pass(x, normalized_shape, scale=None, shift=None, epsilon=1e-5):
    """Subtract the first entry of the row, then sums of d and of d squared in a single pass."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    d = h - h[:, :1].detach()
    m = d.sum(-1, keepdim=True) / n
    v = (d * d).sum(-1, keepdim=True) / n - m * m
    y = (d - m) / (v + epsilon).sqrt()
    return _affine(y.reshape(x.shape), scale, shift, x.dtype)


def float64_inside(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Everything in double precision, one rounding at the end."""
    axes = _axes(normalized_shape)
    h = x.double()
    mu = h.mean(axes, keepdim=True)
    var = ((h - mu) ** 2).mean(axes, keepdim=True)
    return _affine((h - mu) / (var + eps).sqrt(), weight, bias, x.dtype)


def through_batch_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each row is a channel of a batch of one, normalized by the batch norm of torch."""
    n = _width(normalized_shape)
    rows = _wide(x).reshape(1, -1, n)
    y = torch.batch_norm(rows, None, None, None, None, True, 0.0, eps, False)
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def through_group_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each row is a sample with a single group."""
    n = _width(normalized_shape)
    rows = _wide(x).reshape(-1, n, 1)
    y = torch.group_norm(rows, 1, eps=eps)
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def einsum_means(x, normalized_shape, g=None, b=None, eps=1e-5):
    """Mean and variance as contractions."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    centered = h - torch.einsum("rn->r", h)[:, None] / n
    variance = torch.einsum("rn,rn->r", centered, centered) / n
    y = torch.einsum("rn,r->rn", centered, (variance + eps).rsqrt())
    return _affine(y.reshape(x.shape), g, b, x.dtype)


def matmul_means(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Row means by a product with a column of 1/n."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    average = torch.full((n, 1), 1.0 / n, dtype=h.dtype, device=h.device)
    centered = h - h @ average
    variance = (centered * centered) @ average
    return _affine((centered / (variance + eps).sqrt()).reshape(x.shape), weight, bias, x.dtype)


def row_chunks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A few rows at a time, to keep the temporaries small."""
    n = _width(normalized_shape)
    out = []
    for rows in x.reshape(-1, n).split(3):
        h = _wide(rows)
        mean = h.mean(1, keepdim=True)
        var = h.var(1, correction=0, keepdim=True)
        y = (h - mean) / torch.sqrt(var + eps)
        w = None if weight is None else weight.reshape(-1)
        b = None if bias is None else bias.reshape(-1)
        out.append(_affine(y, w, b, x.dtype))
    return torch.cat(out).reshape(x.shape)


def fused_scale_shift(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """x * rstd - mean * rstd, one multiplication and one addition for each entry."""
    h = _wide(x)
    var, mean = torch.var_mean(h, _axes(normalized_shape), correction=0, keepdim=True)
    rstd = 1 / torch.sqrt(var + eps)
    return _affine(h * rstd - mean * rstd, weight, bias, x.dtype)


def sequential_welford(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Welford's update, entry by entry along the row."""
    n = _width(normalized_shape)
    h = _wide(x).reshape(-1, n)
    mean = torch.zeros(h.shape[0], dtype=h.dtype, device=h.device)
    m2 = torch.zeros_like(mean)
    for k, column in enumerate(h.unbind(1), start=1):
        delta = column - mean
        mean = mean + delta / k
        m2 = m2 + delta * (column - mean)
    rstd = (m2 / n + eps).rsqrt()
    y = (h - mean[:, None]) * rstd[:, None]
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


def without_eps(x, normalized_shape, weight=None, bias=None):
    """No eps argument: it is always 1e-5."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    h = h - h.mean(axes, keepdim=True)
    y = h / torch.sqrt((h * h).mean(axes, keepdim=True) + 1e-5)
    return _affine(y, weight, bias, x.dtype)


def last_axis(x, gamma, beta, epsilon=1e-5):
    """Over the last axis only, both parameters required."""
    h = _wide(x)
    mean = h.mean(-1, keepdim=True)
    variance = (h - mean).pow(2).mean(-1, keepdim=True)
    return (gamma * ((h - mean) / (variance + epsilon).sqrt()) + beta).to(x.dtype)


def keyword_only(x, *, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Everything but the input by keyword."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    var = torch.var(h, dim=axes, unbiased=False, keepdim=True)
    y = (h - torch.mean(h, dim=axes, keepdim=True)) / torch.sqrt(var + eps)
    return _affine(y, weight, bias, x.dtype)


def with_statistics(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Returns the output, the mean and the reciprocal standard deviation, like torch.native_layer_norm."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    mean = h.mean(axes, keepdim=True)
    centered = h - mean
    rstd = centered.square().mean(axes, keepdim=True).add(eps).rsqrt()
    return _affine(centered * rstd, weight, bias, x.dtype), mean, rstd


def corrected_mean(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Two-pass with a second correction of the mean."""
    axes = _axes(normalized_shape)
    h = _wide(x)
    c = h - h.mean(axes, keepdim=True)
    c = c - c.mean(axes, keepdim=True)
    return _affine(c * c.square().mean(axes, keepdim=True).add(eps).rsqrt(), weight, bias, x.dtype)


def transposed(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Works on columns: the row index comes last."""
    n = _width(normalized_shape)
    columns = _wide(x).reshape(-1, n).t().contiguous()
    columns = columns - columns.sum(0) / n
    columns = columns / torch.sqrt((columns**2).sum(0) / n + eps)
    return _affine(columns.t().reshape(x.shape), weight, bias, x.dtype)


def addcmul_style(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The affine step in one torch.addcmul."""
    axes = _axes(normalized_shape)
    h = _wide(input)
    std, mean = torch.std_mean(h, axes, correction=0, keepdim=True)
    xhat = (h - mean) / torch.hypot(std, torch.full_like(std, math.sqrt(eps)))
    if weight is None or bias is None:
        return _affine(xhat, weight, bias, input.dtype)
    return torch.addcmul(bias.to(h.dtype), xhat, weight.to(h.dtype)).to(input.dtype)
