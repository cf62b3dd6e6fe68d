"""Right and wrong code whose last axis falls into groups or heads; wrong code is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def wide_of(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def normalized(x, group_size, eps):
    groups = wide_of(x).unflatten(-1, (-1, group_size))
    return groups * torch.rsqrt(groups.square().mean(-1, keepdim=True) + eps)


class GroupedRMSNorm(nn.Module):
    """Groups of the width, with a weight for all of it, as in state-space models."""

    def __init__(self, hidden_size, group_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.group_size, self.variance_epsilon = group_size, eps

    def forward(self, hidden_states):
        out = normalized(hidden_states, self.group_size, self.variance_epsilon).flatten(-2)
        return (out * self.weight).to(hidden_states.dtype)


def head_norm(x, num_heads, weight, eps=1e-6):
    """The norm of each head, with one weight for all heads."""
    out = normalized(x, x.shape[-1] // num_heads, eps) * weight
    return out.flatten(-2).to(x.dtype)


def head_layer_norm(x, weight, bias, n_heads=1, eps=1e-5):
    """A layer norm of each head; weight and bias are as wide as a row."""
    heads = wide_of(x).unflatten(-1, (n_heads, -1))
    out = F.layer_norm(heads, heads.shape[-1:], eps=eps).flatten(-2)
    return (out * weight + bias).to(x.dtype)


class GatedGroupedRMSNorm(nn.Module):
    """The norm of Mamba 2: groups, and a gate after it."""

    def __init__(self, hidden_size, eps=1e-6, group_size=None):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps, self.group_size = eps, group_size

    def forward(self, x, z):
        out = normalized(x, self.group_size, self.eps).flatten(-2) * self.weight
        return (out * F.silu(wide_of(z))).to(x.dtype)


class GroupsIgnored(GroupedRMSNorm):
    """Statistics of the whole row."""

    def forward(self, hidden_states):
        out = normalized(hidden_states, hidden_states.shape[-1], self.variance_epsilon).flatten(-2)
        return (out * self.weight).to(hidden_states.dtype)


class WeightOfFirstGroup(GroupedRMSNorm):
    """Every group is multiplied by the weight of the first."""

    def forward(self, hidden_states):
        out = normalized(hidden_states, self.group_size, self.variance_epsilon) * self.weight[: self.group_size]
        return out.flatten(-2).to(hidden_states.dtype)
