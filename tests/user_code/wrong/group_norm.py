"""Group norm with one fault in each function or class."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


def _grouped(x, groups):
    return x.to(torch.promote_types(x.dtype, torch.float32)).reshape(x.shape[0], groups, -1)


def _affine(y, x, weight, bias):
    y = y.reshape(x.shape)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    if weight is not None:
        y = y * weight.to(y.dtype).view(shape)
    if bias is not None:
        y = y + bias.to(y.dtype).view(shape)
    return y.to(x.dtype)


def unbiased(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _grouped(x, num_groups)
    return _affine((h - h.mean(2, keepdim=True)) / torch.sqrt(h.var(2, keepdim=True) + eps), x, weight, bias)


def eps_outside(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _grouped(x, num_groups)
    std, mean = torch.std_mean(h, 2, correction=0, keepdim=True)
    return _affine((h - mean) / (std + eps), x, weight, bias)


def eps_ignored(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The call inside forgets to pass eps on."""
    h = _grouped(input, num_groups)
    return _affine(F.layer_norm(h, h.shape[2:]), input, weight, bias)


def one_pass(x, num_groups, gamma=None, beta=None, eps=1e-5):
    h = _grouped(x, num_groups)
    n = h.shape[2]
    s, q = h.sum(2, keepdim=True), (h * h).sum(2, keepdim=True)
    mean = s / n
    rstd = torch.rsqrt((q / n - mean * mean).clamp(min=0) + eps)
    return _affine((h - mean) * rstd, x, gamma, beta)


def padded(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Groups padded to a power of two, the padding counted in the variance."""
    h = _grouped(x, num_groups)
    n = h.shape[2]
    h = F.pad(h, (0, (1 << (n - 1).bit_length()) - n))
    h = h - h.sum(2, keepdim=True) / n
    h = h / torch.sqrt(h.pow(2).sum(2, keepdim=True) / n + eps)
    return _affine(h[..., :n], x, weight, bias)


def mean_detached(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _grouped(x, num_groups)
    h = h - h.mean(2, keepdim=True).detach()
    return _affine(h * torch.rsqrt(h.square().mean(2, keepdim=True) + eps), x, weight, bias)


class _NoVarianceTerm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, eps):
        centered = h - h.mean(2, keepdim=True)
        rstd = torch.rsqrt(centered.square().mean(2, keepdim=True) + eps)
        ctx.save_for_backward(rstd)
        return centered * rstd

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (rstd,) = ctx.saved_tensors
        return rstd * (g - g.mean(2, keepdim=True)), None


def no_variance_term(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _affine(_NoVarianceTerm.apply(_grouped(x, num_groups), eps), x, weight, bias)


class _WeightGradientFromInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = _grouped(x, groups)
        mean = h.mean(2, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(2, keepdim=True) + eps)
        ctx.save_for_backward(x, mean, rstd, weight, bias)
        return _affine((h - mean) * rstd, x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, mean, rstd, weight, bias = ctx.saved_tensors
        dy = dy.to(mean.dtype)
        over = (0, *range(2, dy.dim()))
        g = dy if weight is None else dy * weight.view(1, -1, *[1] * (dy.dim() - 2))
        h = _grouped(x, mean.shape[1])
        g, xhat = g.reshape(h.shape), (h - mean) * rstd
        dx = rstd * (g - g.mean(2, keepdim=True) - xhat * (g * xhat).mean(2, keepdim=True))
        dweight = None if weight is None else (dy * x).sum(over).to(weight.dtype)
        dbias = None if bias is None else dy.sum(over).to(bias.dtype)
        return dx.reshape(x.shape).to(x.dtype), None, dweight, dbias, None


def weight_gradient_from_input(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _WeightGradientFromInput.apply(x, num_groups, weight, bias, eps)


def affine_ignored(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = _grouped(x, num_groups)
    var, mean = torch.var_mean(h, 2, unbiased=False, keepdim=True)
    return ((h - mean) / torch.sqrt(var + eps)).reshape(x.shape).to(x.dtype)


def first_case(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The statistics of case 0, group by group, serve every case."""
    h = _grouped(x, num_groups)
    var, mean = torch.var_mean(h[:1], 2, unbiased=False, keepdim=True)
    return _affine((h - mean) / torch.sqrt(var + eps), x, weight, bias)


def through_float32(x, num_groups, weight=None, bias=None, eps=1e-5):
    h = x.float().reshape(x.shape[0], num_groups, -1)
    var, mean = torch.var_mean(h, 2, unbiased=False, keepdim=True)
    return _affine((h - mean) * torch.rsqrt(var + eps), x, weight, bias)


def running_sum_in_half(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Sums over the positions of a group are added up in the input's type."""
    h = x.reshape(x.shape[0], num_groups, -1)
    n = h.shape[2]
    total = torch.zeros_like(h[..., 0])
    for part in h.unbind(2):
        total = total + part
    centered = _grouped(x, num_groups) - (total / n)[..., None]
    squares = torch.zeros_like(total)
    for part in centered.unbind(2):
        squares = squares + (part * part).to(x.dtype)
    return _affine(centered * torch.rsqrt(squares.to(centered.dtype) / n + eps)[..., None], x, weight, bias)


class GroupsInterleaved(nn.Module):
    """Channel c belongs to group c % num_groups: statistics over the wrong axis of the view."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_channels)) if affine else None

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        h = h.reshape(x.shape[0], -1, self.num_groups, *x.shape[2:])
        axes = (1, *range(3, h.dim()))
        var, mean = torch.var_mean(h, axes, correction=0, keepdim=True)
        return _affine((h - mean) * torch.rsqrt(var + self.eps), x, self.weight, self.bias)
