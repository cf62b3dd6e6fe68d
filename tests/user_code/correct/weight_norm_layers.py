"""Linear and convolutional layers that normalize their weight."""

import torch
import torch.nn.functional as F
from torch import nn


class WeightNormLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.v = nn.Parameter(torch.randn(out_features, in_features))
        self.g = nn.Parameter(self.v.detach().norm(dim=1))
        self.b = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return F.linear(x, self.v * (self.g / self.v.norm(dim=1))[:, None], self.b)


class WeightNormConv2d(nn.Conv2d):
    """The length is that of the weight when it is made."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(self.weight.detach(), dim=(1, 2, 3), keepdim=True))

    def forward(self, x):
        length = torch.linalg.vector_norm(self.weight, dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(x, self.weight_g * self.weight / length, self.bias)
