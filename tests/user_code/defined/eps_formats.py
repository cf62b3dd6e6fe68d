"""Layers whose eps is a parameter in float32."""

import torch
from torch import nn


class FilterResponseNorm2d(nn.Module):
    def __init__(self, num_features, eps=1e-6):
        super().__init__()
        shape = (1, num_features, 1, 1)
        self.eps = nn.Parameter(torch.ones(*shape) * eps, requires_grad=False)
        self.gamma = nn.Parameter(torch.ones(*shape))
        self.beta = nn.Parameter(torch.zeros(*shape))
        self.tau = nn.Parameter(torch.zeros(*shape))

    def forward(self, x):
        square = torch.mean(x**2, dim=(2, 3), keepdim=True)
        x = x * torch.rsqrt(square + torch.abs(self.eps))
        return torch.max(self.gamma * x + self.beta, self.tau)


class EpsOfHalf(FilterResponseNorm2d):
    """It has half of the eps that it takes."""

    def __init__(self, num_features, eps=1e-6):
        super().__init__(num_features, eps / 2)


class EpsOfItsOwn(FilterResponseNorm2d):
    """It has the default eps, whatever it takes."""

    def __init__(self, num_features, eps=1e-6):
        super().__init__(num_features)
