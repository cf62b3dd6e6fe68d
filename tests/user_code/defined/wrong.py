"""Layers of maps and of weights, each with one mistake."""

import torch
import torch.nn.functional as F
from torch import nn


class ResponseWithoutInput(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x):
        length = torch.norm(x, p=2, dim=(2, 3), keepdim=True)
        return self.gamma * (x * (length / (length.mean(dim=1, keepdim=True) + self.eps))) + self.beta


class StandardizedOverUnits(nn.Linear):
    def forward(self, x):
        v, m = torch.var_mean(self.weight, dim=0, keepdim=True, correction=0)
        return F.linear(x, (self.weight - m) / torch.sqrt(v + 1e-5), self.bias)


class CentersOverUnits(nn.Conv2d):
    def forward(self, x):
        w = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, w, self.bias, self.stride, self.padding)


class TanhTimesA(nn.Module):
    """The number that is alpha is behind the tanh, and the affine map is a module of its own."""

    def __init__(self, dim, init_alpha=0.5):
        super().__init__()
        self.a = nn.Parameter(torch.full((1,), init_alpha))
        self.affine = nn.ParameterDict({"gamma": torch.ones(dim), "beta": torch.zeros(dim)})

    def forward(self, x):
        return self.affine["gamma"] * self.a * torch.tanh(x) + self.affine["beta"]
