"""Layers that normalize their own weight, as users write them."""

import torch
import torch.nn.functional as F
from torch import nn


class WSConv2d(nn.Conv2d):
    """The variance divides by n - 1, and eps is added to its root."""

    def forward(self, x):
        w = self.weight
        w = w - w.mean(dim=(1, 2, 3), keepdim=True)
        w = w / (w.std(dim=(1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


class StdConv2d(nn.Conv2d):
    def forward(self, x):
        v, m = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        w = (self.weight - m) * torch.rsqrt(v + 1e-10)
        return self._conv_forward(x, w, self.bias)


class StandardizedLinear(nn.Linear):
    def __init__(self, in_features, out_features, bias=True, eps=1e-5):
        super().__init__(in_features, out_features, bias)
        self.eps = eps

    def forward(self, x):
        return F.linear(x, F.layer_norm(self.weight, (self.in_features,), eps=self.eps), self.bias)


class CenteredLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.v = nn.Parameter(torch.randn(out_features, in_features))
        self.g = nn.Parameter(torch.ones(out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        c = self.v - self.v.mean(1, keepdim=True)
        return F.linear(x, self.g[:, None] * c / c.norm(dim=1, keepdim=True), self.bias)
