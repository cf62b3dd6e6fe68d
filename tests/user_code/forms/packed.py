"""Code of packed sequences, (tokens, units); wrong code is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def wide_of(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def affine(y, weight, bias, like):
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).to(like.dtype)


def standardized(part, eps):
    """One sequence, whose tokens share statistics."""
    centered = part - part.mean(0)
    return centered * torch.rsqrt(centered.square().mean(0) + eps)


def each_by_itself(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    """A loop over the sequences."""
    wide, ends = wide_of(x), cu_seqlens.tolist()
    parts = [standardized(wide[first:end], eps) for first, end in zip(ends[:-1], ends[1:])]
    return affine(torch.cat(parts), weight, bias, x)


class PackedInstanceNorm(nn.Module):
    """Sums by scattered additions, with the greatest length beside the boundaries."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def forward(self, x, cu_seqlens, max_seqlen):
        lengths = cu_seqlens.diff().long()
        which = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        wide = wide_of(x)
        count = lengths.clamp(min=1).unsqueeze(1).to(wide.dtype)
        zeros = wide.new_zeros(len(lengths), x.shape[1])
        mean = zeros.index_add(0, which, wide) / count
        centered = wide - mean[which]
        var = zeros.index_add(0, which, centered.square()) / count
        return affine(centered * torch.rsqrt(var + self.eps)[which], self.weight, self.bias, x)


def split_group_norm(x, cu_seqlens, num_groups, weight=None, bias=None, eps=1e-5):
    """Each sequence as a case of torch's function."""
    parts = []
    for part in x.split(cu_seqlens.diff().tolist()):
        parts.append(F.group_norm(part.t().unsqueeze(0), num_groups, weight, bias, eps).squeeze(0).t()
                     if len(part) else part)  # fmt: skip
    return torch.cat(parts)


class PackedBatchNorm(nn.BatchNorm1d):
    """Statistics over all tokens: where sequences end changes nothing."""

    def forward(self, x, cu_seqlens):
        return super().forward(x)


def packed_rms_norm(hidden_states, weight, cu_seqlens, eps=1e-6):
    """Each token by itself."""
    return F.rms_norm(hidden_states, hidden_states.shape[-1:], weight, eps)


def without_last_token(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    wide, ends = wide_of(x), cu_seqlens.tolist()
    y = torch.zeros_like(wide)
    for first, end in zip(ends[:-1], ends[1:]):
        if end - 1 > first:
            y[first : end - 1] = affine(standardized(wide[first : end - 1], eps), weight, bias, wide)
    return y.to(x.dtype)


def with_next_token(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    wide, ends = wide_of(x), cu_seqlens.tolist()
    parts = [standardized(wide[first : end + 1], eps)[: end - first] for first, end in zip(ends[:-1], ends[1:])]
    return affine(torch.cat(parts), weight, bias, x)


def over_all(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    return affine(standardized(wide_of(x), eps), weight, bias, x)


def last_left_out(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    wide, y = wide_of(x), torch.zeros_like(x)
    for i in range(len(cu_seqlens) - 2):
        first, end = cu_seqlens[i], cu_seqlens[i + 1]
        y[first:end] = affine(standardized(wide[first:end], eps), weight, bias, x)
    return y


def starts_counted(x, cu_seqlens, weight=None, bias=None, eps=1e-5):
    """The number of a token's sequence is that of the starts up to it."""
    which = torch.zeros(len(x), dtype=torch.long)
    which[cu_seqlens[1:-1].long()] = 1
    which = which.cumsum(0)
    wide = wide_of(x)
    count = cu_seqlens.diff().unsqueeze(1).to(wide.dtype)
    zeros = wide.new_zeros(len(count), x.shape[1])
    mean = (zeros.index_add(0, which, wide) / count)[which]
    centered = wide - mean
    var = (zeros.index_add(0, which, centered.square()) / count)[which]
    return affine(centered * torch.rsqrt(var + eps), weight, bias, x)


def mean_over_sequence(hidden_states, weight, cu_seqlens, eps=1e-6):
    """A norm of each token that takes the statistics of its sequence."""
    wide, ends = wide_of(hidden_states), cu_seqlens.tolist()
    parts = [wide[first:end] for first, end in zip(ends[:-1], ends[1:])]
    parts = [part * torch.rsqrt(part.square().mean() + eps) * weight for part in parts]
    return torch.cat(parts).to(hidden_states.dtype)
