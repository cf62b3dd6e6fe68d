"""Layers that compute the right thing, and begin with something else."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class DrawnWeight(nn.Module):
    """Initialized as every matrix of the model is."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        h = _wide(x)
        return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class BiasOfLinear(nn.Module):
    """reset_parameters comes from a linear layer."""

    def __init__(self, num_groups, num_channels, eps=1e-5):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.empty(num_channels))
        self.reset_parameters()

    def reset_parameters(self):
        bound = 1 / math.sqrt(len(self.bias))
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class BiasInAnyCase(nn.Module):
    """Takes bias, as torch's class does, and does not look at it."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = self.bias = None
        if elementwise_affine:
            self.weight = nn.Parameter(torch.ones(self.shape))
            self.bias = nn.Parameter(torch.zeros(self.shape))

    def forward(self, x):
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class PlainTensor(nn.Module):
    """The weight is a tensor like any other."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = torch.ones(dim)

    def forward(self, x):
        h = _wide(x)
        return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight.to(h.dtype)).to(x.dtype)


class StatisticsOfNothing(nn.Module):
    """All buffers begin at zero: nothing was seen yet."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.zeros(num_features))

    def forward(self, x):
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )


class FixedScale(nn.Module):
    """A buffer that neither reset_parameters nor a checkpoint fills: after to_empty it is what was in memory."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.register_buffer("scale", torch.ones(dim), persistent=False)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps) * self.scale.to(x.dtype)
