"""RMS norm as module classes."""

import torch
from torch import nn


class LlamaRMSNorm(nn.Module):
    """Rounds the normalized values to the input's type, then multiplies by the weight."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states):
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.promote_types(input_dtype, torch.float32))
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)


class RMSNorm(nn.Module):
    """The constructor of torch.nn.RMSNorm."""

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.dims = tuple(range(-len(shape), 0))
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(shape)) if elementwise_affine else None

    def forward(self, x):
        h = x if x.dtype == torch.float64 else x.float()
        eps = torch.finfo(h.dtype).eps if self.eps is None else self.eps
        h = h * (h.square().mean(self.dims, keepdim=True) + eps).rsqrt()
        if self.weight is not None:
            h = h * self.weight
        return h.to(x.dtype)


class ScaleNormed(nn.Module):
    """A scale over the last axis, kept and applied in float32 or wider."""

    def __init__(self, dim, epsilon=1e-6):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))
        self.epsilon = epsilon

    def _norm(self, x):
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon)

    def forward(self, x):
        wide = torch.promote_types(x.dtype, torch.float32)
        return (self._norm(x.to(wide)) * self.scale.to(wide)).type_as(x)


class OneGain(nn.Module):
    """One weight for all units."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.g, self.eps = nn.Parameter(torch.ones(1)), eps

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.g
