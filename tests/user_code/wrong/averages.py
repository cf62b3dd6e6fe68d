"""Batch norm whose running mean and running variance are not averaged alike, or not of the batch."""

import torch
from torch import nn


class Averaged(nn.Module):
    """The right layer; a subclass replaces the update. `update` gets the batch, its mean and its unbiased variance."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        h = x if x.dtype == torch.float64 else x.float()
        one = [1, -1] + [1] * (x.dim() - 2)
        mean, var = self.running_mean, self.running_var
        if self.training:
            var, mean = torch.var_mean(h, [0, *range(2, x.dim())], correction=0)
            n = max(h.numel() // max(h.shape[1], 1), 1)
            with torch.no_grad():
                self.update(h, mean, var * n / max(n - 1, 1))
        h = (h - mean.view(one)) * torch.rsqrt(var.view(one) + self.eps)
        return (h * self.weight.view(one) + self.bias.view(one)).to(x.dtype)

    def update(self, h, mean, var):
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(var.to(self.running_var.dtype), self.momentum)


class VarianceOnly(Averaged):
    def update(self, h, mean, var):
        running = self.running_mean.clone()
        running.lerp_(mean.to(running.dtype), self.momentum)  # the copy is updated
        self.running_var.lerp_(var.to(self.running_var.dtype), self.momentum)


class DecayOfVariance(Averaged):
    def update(self, h, mean, var):
        self.running_mean.mul_(1 - self.momentum).add_(mean, alpha=self.momentum)
        self.running_var.mul_(self.momentum).add_(var, alpha=1 - self.momentum)


class DecayOfMean(Averaged):
    def update(self, h, mean, var):
        self.running_mean.mul_(self.momentum).add_(mean, alpha=1 - self.momentum)
        self.running_var.mul_(1 - self.momentum).add_(var, alpha=self.momentum)


class Accumulates(Averaged):
    def update(self, h, mean, var):
        self.running_mean += self.momentum * mean
        self.running_var += self.momentum * var


class AfterNormalizing(Averaged):
    def update(self, h, mean, var):
        one = [1, -1] + [1] * (h.dim() - 2)
        n = max(h.numel() // max(h.shape[1], 1), 1)
        biased = var * max(n - 1, 1) / n
        h = (h - mean.view(one)) / torch.sqrt(biased.view(one) + self.eps)
        super().update(h, h.mean([0, *range(2, h.dim())]), h.var([0, *range(2, h.dim())]))


class AboutRunningMean(Averaged):
    def update(self, h, mean, var):
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        apart = h - self.running_mean.view([1, -1] + [1] * (h.dim() - 2))
        self.running_var.lerp_(apart.square().mean([0, *range(2, h.dim())]).to(self.running_var.dtype), self.momentum)
