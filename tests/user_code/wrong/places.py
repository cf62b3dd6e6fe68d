"""A mistake of the formula in some rows, cases or channels only; all others are right."""

from __future__ import annotations

import torch
from torch import nn


def partial_tile(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm in tiles of 128 rows from 500 rows on; the store of the last, partial tile has no shift."""
    axes = tuple(range(-len(normalized_shape), 0))
    y = nn.functional.layer_norm(x, normalized_shape, weight, None, eps)
    if bias is None:
        return y
    shifted = y + bias
    rows = x.numel() // bias.numel()
    if rows < 500 or rows % 128 == 0:
        return shifted
    inside = torch.arange(rows).reshape(x.shape[: axes[0]]) < rows // 128 * 128
    return torch.where(inside.reshape(*inside.shape, *(1 for _ in axes)), shifted, y)


class EpilogueOfLastCase(nn.GroupNorm):
    """Group norm whose last case of several is stored before it is scaled: the loop ends one short."""

    def forward(self, x):
        y = super().forward(x)
        if x.shape[0] < 2 or self.weight is None:
            return y
        last = nn.functional.group_norm(x[-1:], self.num_groups, None, None, self.eps)
        return torch.cat([y[:-1], last + self.bias.view(1, -1, *[1] * (x.dim() - 2))])


def odd_rows_unbiased(x, weight=None, eps=1e-6):
    """RMS norm of two rows at a time; the second has its eps beside the root."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    square = wide.pow(2).mean(-1, keepdim=True)
    rows = torch.arange(square.numel()).reshape(square.shape)
    scale = torch.where(rows % 2 == 1, square.sqrt() + eps, (square + eps).sqrt())
    y = wide / scale
    return (y if weight is None else y * weight).to(x.dtype)


class OfSecondChannel(nn.Module):
    """Batch norm by channel; the second half of the channels takes the other divisor."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        if not self.training:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        whole = nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
        )
        shape = [1, -1] + [1] * (x.dim() - 2)
        axes = [0, *range(2, x.dim())]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        other = (wide - wide.mean(axes, keepdim=True)) / (wide.var(axes, keepdim=True) + self.eps).sqrt()
        if self.weight is not None:
            other = other * self.weight.view(shape) + self.bias.view(shape)
        later = torch.arange(x.shape[1]) >= (x.shape[1] + 1) // 2
        return torch.where(later.view(shape), other.to(x.dtype), whole)
