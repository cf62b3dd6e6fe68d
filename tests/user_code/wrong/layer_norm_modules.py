"""Layer norm as module classes, one fault each."""

import torch
from torch import nn


class AnnotatedLayerNorm(nn.Module):
    """The class of a well-known tutorial: unbiased standard deviation."""

    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = h.mean(-1, keepdim=True)
        var = h.var(-1, keepdim=True)
        return (self.gamma * (h - mean) / torch.sqrt(var + self.eps) + self.beta).to(x.dtype)


class EpsOutside(nn.Module):
    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.dims = tuple(range(-len(shape), 0))
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(shape)) if elementwise_affine else None
        self.bias = nn.Parameter(torch.zeros(shape)) if elementwise_affine and bias else None

    def forward(self, input):
        h = input.to(torch.promote_types(input.dtype, torch.float32))
        std, mean = torch.std_mean(h, self.dims, unbiased=False, keepdim=True)
        h = (h - mean) / (std + self.eps)
        if self.weight is not None:
            h = h * self.weight
        if self.bias is not None:
            h = h + self.bias
        return h.to(input.dtype)


class BiasForgotten(nn.Module):
    """Has a bias and does not add it."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        centered = h - h.mean(-1, keepdim=True)
        h = centered * torch.rsqrt(centered.pow(2).mean(-1, keepdim=True) + self.eps)
        return (h * self.weight).to(x.dtype)
