"""Instance norm: inputs (cases, channels, *space), one mean and variance for each case and channel."""

import math

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _per_channel(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * _per_channel(weight, y)
    if bias is not None:
        y = y + _per_channel(bias, y)
    return y.to(dtype)


@torch.no_grad()
def _update(running_mean, running_var, mean, var, count, momentum):
    """mean, var: (cases, channels), var biased; the average over the cases is stored."""
    if running_mean is not None:
        running_mean.copy_((1 - momentum) * _wide(running_mean) + momentum * mean.mean(0))
    if running_var is not None:
        unbiased = var.mean(0) * (count / max(count - 1, 1))
        running_var.copy_((1 - momentum) * _wide(running_var) + momentum * unbiased)


def _stored(x, running_mean, running_var, weight, bias, eps):
    h = _wide(x)
    y = (h - _per_channel(running_mean, x)) / torch.sqrt(_per_channel(_wide(running_var), x) + eps)
    return _affine(y, weight, bias, x.dtype)


def with_var_mean(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """torch.var_mean over the space axes."""
    if not use_input_stats:
        return _stored(x, running_mean, running_var, weight, bias, eps)
    h = _wide(x)
    axes = tuple(range(2, x.dim()))
    var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
    _update(running_mean, running_var, mean.flatten(1), var.flatten(1), math.prod(x.shape[2:]), momentum)
    return _affine((h - mean) * torch.rsqrt(var + eps), weight, bias, x.dtype)


def flattened(
    input, running_mean=None, running_var=None, gamma=None, beta=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Two passes over (cases, channels, positions)."""
    if not use_input_stats:
        return _stored(input, running_mean, running_var, gamma, beta, eps)
    h = _wide(input).flatten(2)
    centered = h - h.mean(2, keepdim=True)
    var = (centered * centered).mean(2, keepdim=True)
    _update(running_mean, running_var, h.mean(2), var[..., 0], h.shape[2], momentum)
    return _affine((centered / (var + eps).sqrt()).reshape(input.shape), gamma, beta, input.dtype)


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x).flatten(2)
        mean = h.mean(2, keepdim=True)
        var = (h - mean).square().mean(2, keepdim=True)
        rstd = 1 / torch.sqrt(var + eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        y = ((h - mean) * rstd).reshape(x.shape)
        ctx.mark_non_differentiable(mean, var)
        return _affine(y, weight, bias, x.dtype), mean.squeeze(2), var.squeeze(2)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, _mean, _var):
        x, weight, bias, mean, rstd = ctx.saved_tensors
        xhat = (_wide(x).flatten(2) - mean) * rstd
        d = _wide(dy).reshape(xhat.shape)
        dweight = None if weight is None else (d * xhat).sum((0, 2)).to(weight.dtype)
        dbias = None if bias is None else d.sum((0, 2)).to(bias.dtype)
        if weight is not None:
            d = d * weight[:, None]
        dx = rstd * (d - d.mean(2, keepdim=True) - xhat * (d * xhat).mean(2, keepdim=True))
        return dx.reshape(x.shape).to(x.dtype), dweight, dbias, None


def own_backward(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """An autograd function for the input's statistics."""
    if not use_input_stats:
        return _stored(x, running_mean, running_var, weight, bias, eps)
    y, mean, var = _InstanceNorm.apply(x, weight, bias, eps)
    _update(running_mean, running_var, mean, var, math.prod(x.shape[2:]), momentum)
    return y


def case_by_case(x, weight=None, bias=None, eps=1e-5):
    """A loop over the cases; no running statistics."""
    out = []
    for case in _wide(x):
        flat = case.reshape(case.shape[0], -1)
        std, mean = torch.std_mean(flat, 1, unbiased=False, keepdim=True)
        out.append(((flat - mean) / torch.sqrt(std**2 + eps)).reshape(case.shape))
    return _affine(torch.stack(out), weight, bias, x.dtype)


def through_batch_norm(x, weight=None, bias=None, eps=1e-5):
    """Cases and channels folded into the channels of a batch of one; no running statistics."""
    h = _wide(x).reshape(1, -1, *x.shape[2:])
    y = torch.batch_norm(h, None, None, None, None, True, 0.0, eps, False)
    return _affine(y.reshape(x.shape), weight, bias, x.dtype)


class InstanceNorm(nn.Module):
    """The constructor of torch.nn.InstanceNorm1d, 2d and 3d in one class."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x):
        if not self.training and self.running_mean is not None:
            return _stored(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        h = _wide(x).flatten(2)
        var, mean = torch.var_mean(h, 2, unbiased=False)
        _update(self.running_mean, self.running_var, mean, var, h.shape[2], self.momentum)
        y = (h - mean[..., None]) * torch.rsqrt(var[..., None] + self.eps)
        return _affine(y.reshape(x.shape), self.weight, self.bias, x.dtype)
