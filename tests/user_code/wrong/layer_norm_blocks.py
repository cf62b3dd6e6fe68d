"""Layer norms that take a set in blocks, or keep a statistic, each with one fault."""

from __future__ import annotations

import math

import torch
from torch import nn


def _wide(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _affine(y, weight, bias):
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def merged_variances(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Block by block, as Chan, Golub and LeVeque merge them; delta**2 is forgotten."""
    n = math.prod(normalized_shape)
    h = _wide(x).reshape(-1, n)
    mean, m2, count = torch.zeros_like(h[:, :1]), torch.zeros_like(h[:, :1]), 0
    for part in h.split(7, dim=-1):
        own = part.mean(-1, keepdim=True)
        count += part.shape[-1]
        mean = mean + (own - mean) * (part.shape[-1] / count)
        m2 = m2 + (part - own).square().sum(-1, keepdim=True)
    y = (h - mean) * torch.rsqrt(m2 / n + eps)
    return _affine(y.reshape(x.shape).to(x.dtype), weight, bias)


def whole_blocks_in_the_sums(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Sums of whole blocks of eight, divided by the width."""
    n = math.prod(normalized_shape)
    h = _wide(x).reshape(-1, n)
    read = h[:, : n // 8 * 8] if n >= 8 else h
    mean = read.sum(-1, keepdim=True) / n
    var = (read - mean).square().sum(-1, keepdim=True) / n
    y = (h - mean) * torch.rsqrt(var + eps)
    return _affine(y.reshape(x.shape).to(x.dtype), weight, bias)


def means_of_whole_blocks(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Mean and variance of the members in whole blocks of sixteen."""
    n = math.prod(normalized_shape)
    h = _wide(x).reshape(-1, n)
    read = h[:, : n // 16 * 16] if n >= 16 else h
    var, mean = torch.var_mean(read, dim=-1, correction=0, keepdim=True)
    y = (h - mean) * torch.rsqrt(var + eps)
    return _affine(y.reshape(x.shape).to(x.dtype), weight, bias)


class CachedMean(nn.Module):
    """Keeps the mean of the first input of a shape; the variance is that of each input."""

    def __init__(self, n_embd: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(n_embd)), nn.Parameter(torch.zeros(n_embd))
        self.eps, self.means = eps, {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, key = _wide(x), (x.shape, x.dtype)
        if key not in self.means:
            self.means[key] = h.mean(-1, keepdim=True).detach()
        var = h.var(-1, keepdim=True, correction=0)
        y = (h - self.means[key]) * torch.rsqrt(var + self.eps)
        return (y * _wide(self.weight) + _wide(self.bias)).to(x.dtype)
