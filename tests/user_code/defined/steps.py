"""Defined normalizers with one step written otherwise than it should be."""

import torch
import torch.nn.functional as F
from torch import nn


def _units(p, x):
    return p.view(1, -1, *[1] * (x.dim() - 2))


def root_plus_eps(x, eps=1e-5):
    """Positional norm."""
    return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0).sqrt() + eps)


def floor_for_sum(x, eps=1e-5):
    var, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
    return (x - mean) / var.clamp_min(eps).sqrt()


def eps_under_the_root(x, eps=1e-12):
    """L2 norm, as if eps were that of an RMS norm."""
    return x / torch.sqrt(x.square().sum(-1, keepdim=True) + eps)


def instance_norm_of_maps(x, eps=1e-5):
    space = tuple(range(2, x.dim())) or (1,)
    var, mean = torch.var_mean(x, space, keepdim=True, correction=0)
    return (x - mean) * torch.rsqrt(var + eps)


def one_pass(x, eps=1e-5):
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(x.square().mean(1, keepdim=True) - mean.square() + eps)


def unbiased_sum(x, branch, weight, bias, alpha=2.0, eps=1e-5):
    """Deep norm with torch's default of var."""
    h = alpha * x + branch
    return (h - h.mean(-1, keepdim=True)) / torch.sqrt(h.var(-1, keepdim=True) + eps) * weight + bias


def mean_kept(x, branch, weight, bias, alpha=2.0, eps=1e-5):
    h = alpha * x + branch
    return h * torch.rsqrt(h.square().mean(-1, keepdim=True) + eps) * weight + bias


def residual_cut(x, branch, weight, bias, alpha=2.0, eps=1e-5):
    return F.layer_norm(alpha * x.detach() + branch, (x.shape[-1],), weight, bias, eps)


def scale_is_constant(x, eps=1e-5):
    """Positional norm."""
    std = torch.sqrt(x.var(1, keepdim=True, correction=0) + eps).detach()
    return (x - x.mean(1, keepdim=True)) / std


def mean_is_constant(x, eps=1e-5):
    c = x - x.mean(1, keepdim=True).detach()
    return c / torch.sqrt(c.square().mean(1, keepdim=True) + eps)


class LengthsWithoutGradient(nn.Linear):
    """Cosine norm whose weight lengths are computed without a graph."""

    def forward(self, x):
        with torch.no_grad():
            length = self.weight.norm(dim=1, keepdim=True)
        return F.normalize(x, dim=-1, eps=0.0) @ (self.weight / length).T


def lower_threshold(x, weight, bias, tau, eps=1e-6):
    """Filter response norm with the smaller one for the larger."""
    nu = x.square().mean(tuple(range(2, x.dim())), keepdim=True)
    return torch.minimum(_units(weight, x) * x * torch.rsqrt(nu + eps) + _units(bias, x), _units(tau, x))


def bias_forgotten(x, alpha, weight, bias):
    """Dynamic tanh."""
    return weight * torch.tanh(alpha * x) + 0.0 * bias


def weight_forgotten(x, alpha, weight, bias):
    return torch.tanh(alpha * x) + bias + 0.0 * weight


def bias_without_gradient(x, alpha, weight, bias):
    return weight * torch.tanh(alpha * x) + bias.detach()
