"""L2 normalization with a weight for each channel, as detectors have it: right in three styles, and wrong."""

import torch
import torch.nn.functional as F
from torch import nn


class L2Norm(nn.Module):
    """Adds its eps to the length."""

    def __init__(self, n_channels, scale=20):
        super().__init__()
        self.n_channels = n_channels
        self.gamma = scale or None
        self.eps = 1e-10
        self.weight = nn.Parameter(torch.Tensor(self.n_channels))
        nn.init.constant_(self.weight, self.gamma)

    def forward(self, x):
        norm = x.pow(2).sum(dim=1, keepdim=True).sqrt() + self.eps
        x = torch.div(x, norm)
        return self.weight.unsqueeze(0).unsqueeze(2).unsqueeze(3).expand_as(x) * x


class ScaledNormalize(nn.Module):
    """Has the floor of torch's normalize, which it does not take."""

    def __init__(self, in_channels):
        super().__init__()
        self.scale_weight = nn.Parameter(torch.ones(in_channels) * 20)

    def forward(self, x):
        return self.scale_weight.view(1, -1, 1, 1) * F.normalize(x)


def inside(x, weight, eps=1e-10):
    """Over the last axis, eps inside the root."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + eps) * weight


class OverTheMap(L2Norm):
    def forward(self, x):
        norm = x.flatten(1).norm(dim=1)[:, None, None, None] + self.eps
        return self.weight[None, :, None, None] * x / norm


class WeightFirst(L2Norm):
    def forward(self, x):
        x = self.weight[None, :, None, None] * x
        return x / (x.norm(dim=1, keepdim=True) + self.eps)


class InItsInput(L2Norm):
    """Divides in the memory of its input."""

    def forward(self, x):
        norm = x.pow(2).sum(dim=1, keepdim=True).sqrt() + self.eps
        x /= norm
        return self.weight[None, :, None, None] * x


class NormOfData(L2Norm):
    def forward(self, x):
        norm = x.data.pow(2).sum(dim=1, keepdim=True).sqrt() + self.eps
        return self.weight[None, :, None, None] * x / norm
