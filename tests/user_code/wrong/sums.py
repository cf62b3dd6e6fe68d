"""Statistics over the wrong entries, or summed up in the wrong format."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def _up(x):
    return x if x.dtype == torch.float64 else x.float()


def _shape(normalized_shape):
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def _power_of_two(n):
    return 2 ** math.ceil(math.log2(n)) if n > 1 else 1


def _finish(h, weight, bias, x, shape):
    h = h.reshape(*x.shape[: x.dim() - len(shape)], *shape)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def divided_by_block(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """tl.sum(x) / BLOCK_SIZE."""
    shape = _shape(normalized_shape)
    n = math.prod(shape)
    h = _up(x).reshape(-1, n)
    c = h - h.sum(1, keepdim=True) / _power_of_two(n)
    return _finish(c / (c.square().sum(1, keepdim=True) / n + eps).sqrt(), weight, bias, x, shape)


def rms_divided_by_block(x, normalized_shape, weight=None, eps=1e-6):
    shape = _shape(normalized_shape)
    n = math.prod(shape)
    h = _up(x).reshape(-1, n)
    square = h.square().sum(1, keepdim=True) / _power_of_two(n)
    return _finish(h * torch.rsqrt(square + eps), weight, None, x, shape)


def unmasked_load(x, normalized_shape, weight=None, eps=1e-6):
    """Each program loads a block of a power of two without a mask."""
    shape = _shape(normalized_shape)
    n = math.prod(shape)
    block = _power_of_two(n)
    h = _up(x).reshape(-1, n)
    memory = F.pad(h.flatten(), (0, block))
    lanes = torch.arange(len(h)).unsqueeze(1) * n + torch.arange(block)
    square = memory[lanes].square().sum(1, keepdim=True) / n
    return _finish(h / torch.sqrt(square + eps), weight, None, x, shape)


def one_group(x, num_groups, weight=None, bias=None, eps=1e-5):
    """num_groups is never used."""
    h = _up(x).flatten(1)
    h = (h - h.mean(1, keepdim=True)) / torch.sqrt(h.var(1, unbiased=False, keepdim=True) + eps)
    h = h.view_as(x)
    view = [1, -1] + [1] * (x.dim() - 2)
    h = h if weight is None else h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(x.dtype)


class OneGroup(nn.Module):
    """Built for any number of groups, normalizes them together."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(self, x):
        h = _up(x)
        every = tuple(range(1, x.dim()))
        h = (h - h.mean(every, keepdim=True)) * (h.var(every, correction=0, keepdim=True) + self.eps).rsqrt()
        if self.weight is not None:
            view = (-1,) + (1,) * (x.dim() - 2)
            h = h * self.weight.view(view) + self.bias.view(view)
        return h.to(x.dtype)


def batch_in_the_group(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The reduction runs over the cases too."""
    h = _up(x).reshape(x.shape[0], num_groups, -1)
    var, mean = torch.var_mean(h, (0, 2), correction=0, keepdim=True)
    h = ((h - mean) / (var + eps).sqrt()).reshape(x.shape)
    view = [1, -1] + [1] * (x.dim() - 2)
    h = h if weight is None else h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(x.dtype)


def vectors_only(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Written for (N, C): on images every pixel gets statistics of its own."""
    h = _up(x)
    view = [1, -1] + [1] * (x.dim() - 2)
    if training or running_mean is None:
        var, mean = torch.var_mean(h, 0, correction=0, keepdim=True)
        if training and running_mean is not None:
            with torch.no_grad():
                n = x.shape[0]
                space = tuple(range(2, x.dim()))
                center, spread = (t.mean(space).flatten() if space else t.flatten() for t in (mean, var))
                running_mean.lerp_(center.to(running_mean.dtype), momentum)
                running_var.lerp_((spread * n / max(n - 1, 1)).to(running_var.dtype), momentum)
    else:
        mean, var = _up(running_mean).view(view), _up(running_var).view(view)
    h = (h - mean) / torch.sqrt(var + eps)
    h = h if weight is None else h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(x.dtype)


def each_pixel(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Reduces over the channels of a group alone."""
    h = _up(x).unflatten(1, (num_groups, -1))
    var, mean = torch.var_mean(h, 2, correction=0, keepdim=True)
    h = ((h - mean) / torch.sqrt(var + eps)).flatten(1, 2)
    view = [1, -1] + [1] * (x.dim() - 2)
    h = h if weight is None else h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(x.dtype)


def squared_before_the_cast(x, normalized_shape, weight=None, eps=1e-6):
    """x * x is taken in the dtype of x, and only then summed in float32."""
    dims = list(range(-len(_shape(normalized_shape)), 0))
    square = _up(x * x).mean(dims, keepdim=True)
    h = _up(x) * torch.rsqrt(square + eps)
    return (h if weight is None else h * weight).to(x.dtype)


def statistics_stored_in_half(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Mean and deviation pass through buffers of the dtype of x."""
    shape = _shape(normalized_shape)
    dims = list(range(-len(shape), 0))
    h = _up(x)
    mean = h.mean(dims, keepdim=True)
    std = ((h - mean).square().mean(dims, keepdim=True) + eps).sqrt()
    mean, std = mean.to(x.dtype), std.to(x.dtype)
    return _finish((h - mean) / std, weight, bias, x, shape)
