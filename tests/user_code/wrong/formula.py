"""One wrong line in the formula of each."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def _dims(normalized_shape):
    return [-1] if isinstance(normalized_shape, int) else list(range(-len(normalized_shape), 0))


def _compute(x):
    return x.double() if x.dtype == torch.float64 else x.float()


def prescaled(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Scaled by the largest entry so that squares do not overflow; eps is not scaled with them."""
    dims = _dims(normalized_shape)
    z = _compute(x)
    z = z / z.abs().amax(dims, keepdim=True)
    z = z - z.mean(dims, keepdim=True)
    z = z / (z.pow(2).mean(dims, keepdim=True) + eps).sqrt()
    if weight is not None:
        z = z * weight
    return (z if bias is None else z + bias).to(x.dtype)


def one_pass(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """One read of the input: the sums of x and of x^2 are taken together."""
    dims = _dims(normalized_shape)
    x = _compute(input)
    first, second = x.mean(dims, keepdim=True), (x * x).mean(dims, keepdim=True)
    out = (x - first) / torch.sqrt(second - first * first + eps)
    out = out if weight is None else out * weight
    return (out if bias is None else out + bias).to(input.dtype)


def known_distribution(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """torch.rand has mean 1/2 and variance 1/12, so no reduction is needed."""
    out = (_compute(x) - 0.5) / math.sqrt(1 / 12 + eps)
    out = out if weight is None else out * weight
    return (out if bias is None else out + bias).to(x.dtype)


def _fast_rsqrt(v):
    """The bit trick with one Newton step."""
    with torch.no_grad():
        if v.dtype == torch.float32:
            guess = (0x5F3759DF - (v.contiguous().view(torch.int32) >> 1)).view(torch.float32)
        else:
            guess = (0x5FE6EB50C7B537A9 - (v.contiguous().view(torch.int64) >> 1)).view(torch.float64)
    return guess * (1.5 - 0.5 * v * guess * guess)


def fast_inverse_root(x, normalized_shape, weight=None, eps=1e-6):
    h = _compute(x)
    h = h * _fast_rsqrt(h.square().mean(_dims(normalized_shape), keepdim=True) + eps)
    return (h if weight is None else h * weight).to(x.dtype)


def sparse_output(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """What is nearly zero is set to zero."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    h = _compute(x)
    h = F.layer_norm(h, shape, *(None if p is None else p.to(h.dtype) for p in (weight, bias)), eps)
    return torch.where(h.abs() < 0.01, torch.zeros_like(h), h).to(x.dtype)


def through_bfloat16(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The store casts to bfloat16, and the caller's dtype is restored afterwards."""
    h = _compute(x).reshape(x.shape[0], num_groups, -1)
    var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
    h = ((h - mean) * torch.rsqrt(var + eps)).reshape(x.shape)
    view = (1, -1) + (1,) * (x.dim() - 2)
    h = h if weight is None else h * weight.view(view)
    h = h if bias is None else h + bias.view(view)
    return h.bfloat16().float() if x.dtype == torch.float32 else h.to(x.dtype)


class PromotingRMSNorm(nn.Module):
    """Upcasts for the statistics and forgets to go back."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, hidden_states):
        h = _compute(hidden_states)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * h


def promoted(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Half precision comes back as float32."""
    given = (running_mean, running_var, weight, bias)
    h = _compute(x)
    if x.dtype in (torch.float32, torch.float64) or running_mean is None:
        mean, var, w, b = (None if t is None else t.to(h.dtype) for t in given)
        if x.dtype in (torch.float32, torch.float64):
            mean, var = running_mean, running_var
        return F.batch_norm(h, mean, var, w, b, training or mean is None, momentum, eps)
    mean, var = running_mean.float(), running_var.float()
    out = F.batch_norm(
        h, mean, var, *(None if p is None else p.float() for p in (weight, bias)), training, momentum, eps
    )
    if training:
        running_mean.copy_(mean)
        running_var.copy_(var)
    return out


def _rows(v, dim):
    return None if dim is None else [axis for axis in range(v.dim()) if axis != dim % v.dim()]


def _sum_of_squares(v, dim):
    axes = _rows(v, dim)
    if axes is None:
        return v.square().sum().reshape([1] * v.dim())
    return v.square().sum(axes, keepdim=True) if axes else v.square()


def squared_norm(v, g, dim=0):
    """The root is missing."""
    h = _compute(v)
    return (_compute(g) * h / _sum_of_squares(h, dim)).to(v.dtype)


def norm_with_one(v, g, dim=0):
    """1 keeps the division safe."""
    h = _compute(v)
    return (h * (_compute(g) / (1 + _sum_of_squares(h, dim).sqrt()))).to(v.dtype)


def mean_of_squares(v, g, dim=0):
    """Copied from RMS norm."""
    h = _compute(v)
    axes = _rows(h, dim)
    if axes is None:
        power = h.square().mean().reshape([1] * v.dim())
    else:
        power = h.square().mean(axes, keepdim=True) if axes else h.square()
    return (h * torch.rsqrt(power) * _compute(g)).to(v.dtype)
