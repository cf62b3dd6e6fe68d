"""Layers that are right alone: some below FSDP2 and from the meta device too, the others wrong or lost there."""

from __future__ import annotations

import torch
import torch.distributed as dist
from right import TwoReductions, wide
from torch import nn


class Refilled(TwoReductions):
    """Right: what no state has is filled again by reset_parameters."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__(num_features, eps, momentum, affine, process_group)
        self.value = eps
        self.register_buffer("eps_of_its_own", torch.tensor(eps), persistent=False)

    def reset_parameters(self):
        self.eps_of_its_own.fill_(self.value)

    def forward(self, x):
        self.eps = wide(self.eps_of_its_own)
        return super().forward(x)


class NeverRefilled(Refilled):
    """After to_empty its eps is whatever memory held."""

    reset_parameters = None


class OnTheMetaDevice(TwoReductions):
    """An attribute that is a tensor stays on the meta device: every call raises."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__(num_features, eps, momentum, affine, process_group)
        self.eps = torch.tensor(eps)


class KeptParameters(TwoReductions):
    """It computes with the parameters that it was made with, whatever replaces them."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__(num_features, eps, momentum, affine, process_group)
        self.own = [(self.weight, self.bias)]

    def forward(self, x):
        shape = [1, -1] + [1] * (x.ndim - 2)
        weight, bias = self.own[0]
        kept = self._parameters
        self._parameters = {**kept, "weight": None, "bias": None}
        try:
            y = super().forward(x)
        finally:
            self._parameters = kept
        return y if weight is None else (wide(y) * wide(weight).view(shape) + wide(bias).view(shape)).to(x.dtype)


class NotPersistent(TwoReductions):
    """Its running statistics are in no state."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, process_group=None):
        super().__init__(num_features, eps, momentum, affine, process_group)
        self.register_buffer("running_mean", torch.zeros(num_features), persistent=False)
        self.register_buffer("running_var", torch.ones(num_features), persistent=False)


def summed(g):
    g = g.clone()
    dist.all_reduce(g)
    return g


class Hooked(nn.Module):
    """RMS norm of divided rows, whose weight has a hook from the beginning, that sums its gradient."""

    def __init__(self, normalized_shape, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.weight.register_hook(summed)

    def forward(self, x):
        h = wide(x)
        return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class HookedInTheCall(Hooked):
    """Right: the hook is of what the call uses."""

    def __init__(self, normalized_shape, eps=1e-6):
        super().__init__(normalized_shape, eps)
        self.weight = nn.Parameter(torch.ones(normalized_shape))

    def forward(self, x):
        h, weight = wide(x), self.weight.view_as(self.weight)
        if weight.requires_grad:
            weight.register_hook(summed)
        return (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * weight).to(x.dtype)
