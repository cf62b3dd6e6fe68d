"""Divisive normalization over a window of space and all channels: right in three styles, and wrong."""

import torch
import torch.nn.functional as F
from torch import nn


def by_convolution(x, kernel):
    """The mean over channels and a window of maps: a convolution with zeros outside."""
    return F.conv2d(x, torch.full((1, x.shape[1], kernel, kernel), 1 / (x.shape[1] * kernel**2), dtype=x.dtype),
                    padding=kernel // 2)  # fmt: skip


class DivNorm2d(nn.Module):
    """One window for both statistics, sigma inside."""

    def __init__(self, channels, window=3, sigma=1.0):
        super().__init__()
        self.window, self.sigma = window, sigma
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        c = x - by_convolution(x, self.window)
        y = c * torch.rsqrt(self.sigma**2 + by_convolution(c**2, self.window))
        return self.gamma[None, :, None, None] * y + self.beta[None, :, None, None]


class WithoutAffine(nn.Module):
    """Has no parameters, and counts the positions inside."""

    def __init__(self, sum_window=3, sup_window=3, eps=1.0):
        super().__init__()
        self.sum_window, self.sup_window, self.eps = sum_window, sup_window, eps

    def mean(self, x, window):
        return F.avg_pool2d(x.mean(1, keepdim=True), window, 1, window // 2, count_include_pad=False)

    def forward(self, x):
        c = x - self.mean(x, self.sum_window)
        return c / (self.mean(c.square(), self.sup_window) + self.eps).sqrt()


def unfolded(x, sum_window=3, sup_window=3, eps=1.0):
    """Windows cut out by unfold."""

    def mean(v, window):
        v = F.pad(v.mean(1), [window // 2] * 4)
        return v.unfold(1, window, 1).unfold(2, window, 1).mean((-1, -2))[:, None]

    c = x - mean(x, sum_window)
    return c / torch.sqrt(mean(c * c, sup_window) + eps)


class OtherWindow(WithoutAffine):
    """The sum of one window is divided by the size of the other."""

    def mean(self, x, window):
        return by_convolution(x, window) * (window / self.sum_window) ** 2


class SigmaSquaredAgain(WithoutAffine):
    def forward(self, x):
        c = x - self.mean(x, self.sum_window)
        return c / (self.mean(c.square(), self.sup_window) + self.eps**2).sqrt()


class EachChannel(WithoutAffine):
    def mean(self, x, window):
        return F.avg_pool2d(x, window, 1, window // 2)


class VarianceOfWindow(WithoutAffine):
    """E[x^2] - E[x]^2 of a window."""

    def mean(self, x, window):
        return by_convolution(x, window)

    def forward(self, x):
        m = self.mean(x, self.sum_window)
        var = self.mean(x * x, self.sup_window) - self.mean(x, self.sup_window) ** 2
        return (x - m) / (var.clamp(min=0) + self.eps).sqrt()
