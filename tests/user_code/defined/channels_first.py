"""Layers of maps (cases, channels, height, width), of kinds that have their units in the last axis."""

import torch
from torch import nn


class DynamicTanh2d(nn.Module):
    def __init__(self, num_channels, alpha_init_value=0.5):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1) * alpha_init_value)
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x):
        return torch.tanh(self.alpha * x) * self.weight[:, None, None] + self.bias[:, None, None]


class GlobalResponseNorm2d(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x):
        length = torch.norm(x, p=2, dim=(2, 3), keepdim=True)
        return self.gamma * (x * (length / (length.mean(dim=1, keepdim=True) + self.eps))) + self.beta + x
