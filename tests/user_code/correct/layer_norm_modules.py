"""Layer norm as module classes with different constructors."""

import torch
from torch import nn


class LayerNorm(nn.Module):
    """The last axis only: LayerNorm(dim, eps)."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x):
        dtype = x.dtype
        x = x.to(torch.promote_types(dtype, torch.float32))
        mean = x.mean(-1, keepdim=True)
        var = (x - mean).pow(2).mean(-1, keepdim=True)
        return ((x - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias).to(dtype)


class FullLayerNorm(nn.Module):
    """The constructor of torch.nn.LayerNorm."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        if elementwise_affine:
            self.weight = nn.Parameter(torch.ones(self.normalized_shape))
        else:
            self.register_parameter("weight", None)
        if elementwise_affine and bias:
            self.bias = nn.Parameter(torch.zeros(self.normalized_shape))
        else:
            self.register_parameter("bias", None)

    def forward(self, input):
        dims = tuple(range(-len(self.normalized_shape), 0))
        h = input if input.dtype == torch.float64 else input.float()
        var, mean = torch.var_mean(h, dims, correction=0, keepdim=True)
        out = (h - mean) / torch.sqrt(var + self.eps)
        if self.weight is not None:
            out = out * self.weight
        if self.bias is not None:
            out = out + self.bias
        return out.to(input.dtype)


class GammaBeta(nn.Module):
    """Parameters called gamma and beta."""

    def __init__(self, features, epsilon=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))
        self.epsilon = epsilon

    def forward(self, x):
        h = x.double() if x.dtype == torch.float64 else x.float()
        centered = h - h.mean(dim=-1, keepdim=True)
        std = torch.sqrt(centered.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return (self.gamma * centered / std + self.beta).type_as(x)


class IdleParameters(nn.Module):
    """Made without parameters, it has them all the same, and does not use them."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.affine = eps, elementwise_affine
        self.weight, self.bias = nn.Parameter(torch.ones(self.shape)), nn.Parameter(torch.zeros(self.shape))

    def forward(self, x):
        if not self.affine:
            return nn.functional.layer_norm(x, self.shape, eps=self.eps)
        return nn.functional.layer_norm(x, self.shape, self.weight, self.bias, self.eps)
