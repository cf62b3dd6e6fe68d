"""Instance norm with one fault in each function or class."""

import math

import torch
from torch import nn


def _flat(x):
    return x.to(torch.promote_types(x.dtype, torch.float32)).flatten(2)


def _affine(y, x, weight, bias):
    if weight is not None:
        y = y * weight.to(y.dtype)[:, None]
    if bias is not None:
        y = y + bias.to(y.dtype)[:, None]
    return y.reshape(x.shape).to(x.dtype)


def unbiased(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    return _affine((h - h.mean(2, keepdim=True)) / torch.sqrt(h.var(2, keepdim=True) + eps), x, weight, bias)


def eps_outside(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    std, mean = torch.std_mean(h, 2, unbiased=False, keepdim=True)
    return _affine((h - mean) / (std + eps), x, weight, bias)


def eps_ignored(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    var, mean = torch.var_mean(h, 2, unbiased=False, keepdim=True)
    return _affine((h - mean) * torch.rsqrt(var + 1e-5), x, weight, bias)


def one_pass(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    mean = h.mean(2, keepdim=True)
    var = torch.relu((h**2).mean(2, keepdim=True) - mean**2)
    return _affine((h - mean) / (var + eps).sqrt(), x, weight, bias)


def mean_detached(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    with torch.no_grad():
        mean = h.mean(2, keepdim=True)
    var = (h - mean).square().mean(2, keepdim=True)
    return _affine((h - mean) * torch.rsqrt(var + eps), x, weight, bias)


def variance_detached(x, weight=None, bias=None, eps=1e-5):
    h = _flat(x)
    std = torch.sqrt(h.detach().var(2, unbiased=False, keepdim=True) + eps)
    return _affine((h - h.mean(2, keepdim=True)) / std, x, weight, bias)


def first_case(x, weight=None, bias=None, eps=1e-5):
    """The statistics of case 0 serve every case."""
    h = _flat(x)
    var, mean = torch.var_mean(h[0], 1, unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), x, weight, bias)


def over_channels_too(x, weight=None, bias=None, eps=1e-5):
    """One mean and variance for the whole case."""
    h = _flat(x)
    var, mean = torch.var_mean(h, (1, 2), unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), x, weight, bias)


def through_float32(x, weight=None, bias=None, eps=1e-5):
    h = x.float().flatten(2)
    var, mean = torch.var_mean(h, 2, unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), x, weight, bias)


def weight_ignored(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Complete but for the weight."""
    h = _flat(x)
    if use_input_stats:
        var, mean = torch.var_mean(h, 2, unbiased=False)
        n = math.prod(x.shape[2:])
        with torch.no_grad():
            if running_mean is not None:
                running_mean.copy_((1 - momentum) * running_mean + momentum * mean.mean(0))
            if running_var is not None:
                running_var.copy_((1 - momentum) * running_var + momentum * var.mean(0) * n / max(n - 1, 1))
    else:
        mean, var = running_mean[None], running_var[None].to(h.dtype)
    return _affine((h - mean[..., None]) / torch.sqrt(var[..., None] + eps), x, None, bias)


class AffineIgnored(nn.Module):
    """Has both parameters and uses neither."""

    def __init__(self, num_features, eps=1e-5, affine=False):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    def forward(self, x):
        h = _flat(x)
        var, mean = torch.var_mean(h, 2, unbiased=False, keepdim=True)
        return ((h - mean) / torch.sqrt(var + self.eps)).reshape(x.shape).to(x.dtype)
