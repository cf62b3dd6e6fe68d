"""Batch norm as functions: inputs (cases, channels, *space), statistics for each channel."""

import torch
from torch.autograd.function import once_differentiable


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _view(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


def _axes(x):
    return [a for a in range(x.dim()) if a != 1]


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * _view(weight, y)
    if bias is not None:
        y = y + _view(bias, y)
    return y.to(dtype)


@torch.no_grad()
def _update(running_mean, running_var, mean, var, count, momentum):
    """var is the biased one; the unbiased one is stored."""
    if running_mean is not None:
        running_mean.copy_((1 - momentum) * _wide(running_mean) + momentum * mean)
    if running_var is not None:
        running_var.copy_((1 - momentum) * _wide(running_var) + momentum * var * count / max(count - 1, 1))


def _stored(x, running_mean, running_var, weight, bias, eps):
    rstd = torch.rsqrt(_wide(running_var) + eps)
    return _affine((_wide(x) - _view(running_mean, x)) * _view(rstd, x), weight, bias, x.dtype)


def two_pass(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Mean, then mean of the squared deviations."""
    h = _wide(x)
    if training or running_mean is None:
        axes = _axes(x)
        mean = h.mean(axes)
        var = (h - _view(mean, x)).square().mean(axes)
        if training:
            _update(running_mean, running_var, mean, var, x.numel() // x.shape[1], momentum)
    else:
        mean, var = running_mean, _wide(running_var)
    y = (h - _view(mean, x)) / torch.sqrt(_view(var, x) + eps)
    return _affine(y, weight, bias, x.dtype)


def with_var_mean(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """torch.var_mean, and lerp for the running statistics."""
    if not training and running_mean is not None:
        return _stored(input, running_mean, running_var, weight, bias, eps)
    h = _wide(input)
    var, mean = torch.var_mean(h, _axes(input), correction=0)
    if training and running_mean is not None:
        n = input.numel() / input.shape[1]
        with torch.no_grad():
            running_mean.copy_(torch.lerp(running_mean.to(mean.dtype), mean, momentum))
            running_var.copy_(torch.lerp(running_var.to(var.dtype), var * (n / max(n - 1, 1)), momentum))
    return _affine((h - _view(mean, h)) * _view((var + eps).rsqrt(), h), weight, bias, input.dtype)


def welford_over_cases(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Chunks of the batch, merged one after the other."""
    if not training and running_mean is not None:
        return _stored(x, running_mean, running_var, weight, bias, eps)
    h = _wide(x)
    count, mean, m2 = 0, 0.0, 0.0
    for chunk in h.split(4):
        size = chunk.numel() // chunk.shape[1]
        m = chunk.mean(_axes(x))
        s = (chunk - _view(m, x)).pow(2).sum(_axes(x))
        delta = m - mean
        total = count + size
        mean = mean + delta * (size / total)
        m2 = m2 + s + delta.square() * (count * size / total)
        count = total
    var = m2 / count
    if training:
        _update(running_mean, running_var, mean, var, count, momentum)
    return _affine((h - _view(mean, x)) * _view(torch.rsqrt(var + eps), x), weight, bias, x.dtype)


def flattened(x, running_mean, running_var, gamma=None, beta=None, training=False, momentum=0.1, epsilon=1e-5):
    """Works on a matrix (channels, everything else)."""
    rows = _wide(x).transpose(0, 1).reshape(x.shape[1], -1)
    if training or running_mean is None:
        mean = rows.mean(1, keepdim=True)
        var = rows.var(1, unbiased=False, keepdim=True)
        if training:
            _update(running_mean, running_var, mean[:, 0], var[:, 0], rows.shape[1], momentum)
    else:
        mean, var = running_mean[:, None], running_var[:, None].to(rows.dtype)
    rows = (rows - mean) / (var + epsilon).sqrt()
    if gamma is not None:
        rows = rows * gamma[:, None]
    if beta is not None:
        rows = rows + beta[:, None]
    shape = (x.shape[1], x.shape[0], *x.shape[2:])
    return rows.reshape(shape).transpose(0, 1).to(x.dtype).contiguous()


def shifted(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """One pass over the deviations from the first case and position of each channel."""
    if not training and running_mean is not None:
        return _stored(x, running_mean, running_var, weight, bias, eps)
    h = _wide(x)
    first = h.detach().transpose(0, 1).flatten(1)[:, 0]
    d = h - _view(first, x)
    m = d.mean(_axes(x))
    var = (d * d).mean(_axes(x)) - m * m
    if training:
        _update(running_mean, running_var, first + m, var, x.numel() // x.shape[1], momentum)
    return _affine((d - _view(m, x)) / _view((var + eps).sqrt(), x), weight, bias, x.dtype)


def scale_and_shift(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Folded into y = a * x + b for each channel."""
    h = _wide(x)
    if training or running_mean is None:
        var, mean = torch.var_mean(h, _axes(x), correction=0)
        if training:
            _update(running_mean, running_var, mean, var, x.numel() // x.shape[1], momentum)
    else:
        mean, var = _wide(running_mean), _wide(running_var)
    a = torch.rsqrt(var + eps)
    if weight is not None:
        a = a * weight
    b = -mean * a
    if bias is not None:
        b = b + bias
    return (h * _view(a, x) + _view(b, x)).to(x.dtype)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(_axes(x), keepdim=True)
        centered = h - mean
        var = centered.square().mean(_axes(x), keepdim=True)
        rstd = torch.rsqrt(var + eps)
        ctx.save_for_backward(centered * rstd, rstd, weight, bias)
        ctx.dtype = x.dtype
        mean, var = mean.flatten(), var.flatten()
        ctx.mark_non_differentiable(mean, var)
        return _affine(centered * rstd, weight, bias, x.dtype), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, _mean, _var):
        xhat, rstd, weight, bias = ctx.saved_tensors
        dy = _wide(dy)
        axes = _axes(dy)
        count = dy.numel() // dy.shape[1]
        sum_dy = dy.sum(axes)
        sum_dyx = (dy * xhat).sum(axes)
        scale = rstd if weight is None else rstd * _view(weight, dy)
        dx = scale * (dy - _view(sum_dy, dy) / count - xhat * _view(sum_dyx, dy) / count)
        dweight = None if weight is None else sum_dyx.to(weight.dtype)
        dbias = None if bias is None else sum_dy.to(bias.dtype)
        return dx.to(ctx.dtype), dweight, dbias, None


def own_backward(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """An autograd function for training; evaluation is left to autograd."""
    if not training and running_mean is not None:
        return _stored(x, running_mean, running_var, weight, bias, eps)
    y, mean, var = _BatchNorm.apply(x, weight, bias, eps)
    if training:
        _update(running_mean, running_var, mean, var, x.numel() // x.shape[1], momentum)
    return y


def without_state(x, gamma, beta, eps=1e-5):
    """Training only: no running statistics, both parameters required."""
    h = _wide(x)
    axes = tuple(_axes(x))
    mu = torch.mean(h, axes, keepdim=True)
    sigma = torch.sqrt(torch.mean((h - mu) ** 2, axes, keepdim=True) + eps)
    return (_view(gamma, x) * ((h - mu) / sigma) + _view(beta, x)).to(x.dtype)
