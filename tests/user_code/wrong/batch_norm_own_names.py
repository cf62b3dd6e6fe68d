"""Batch norms whose running statistics have names of their own, each with one mistake."""

import torch
from torch import nn


class OwnNames(nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("mu", torch.zeros(num_features))
        self.register_buffer("sigma2", torch.ones(num_features))
        self.eps, self.m = eps, momentum

    def statistics(self, x):
        flat = x.transpose(0, 1).flatten(1)
        flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
        if flat.shape[1] == 1:
            raise ValueError("a batch of one value has no variance")
        return flat.mean(1), flat.var(1, unbiased=False), flat.shape[1]

    def normalized(self, x, mean, var):
        shape = (1, -1, *(1,) * (x.dim() - 2))
        y = (x - mean.view(shape)) * torch.rsqrt(var.view(shape) + self.eps)
        return (y * self.gamma.view(shape) + self.beta.view(shape)).to(x.dtype)

    @torch.no_grad()
    def update(self, mean, var, n):
        self.mu.lerp_(mean.to(self.mu.dtype), self.m)
        self.sigma2.lerp_((var * n / (n - 1)).to(self.mu.dtype), self.m)

    def forward(self, x):
        if not self.training:
            return self.normalized(x, self.mu, self.sigma2)
        mean, var, n = self.statistics(x)
        self.update(mean, var, n)
        return self.normalized(x, mean, var)


class MomentumOfOld(OwnNames):
    @torch.no_grad()
    def update(self, mean, var, n):
        self.mu.lerp_(mean.to(self.mu.dtype), 1 - self.m)
        self.sigma2.lerp_((var * n / (n - 1)).to(self.mu.dtype), 1 - self.m)


class EvaluatesByBatch(OwnNames):
    def forward(self, x):
        if self.training:
            return super().forward(x)
        mean, var, _ = self.statistics(x)
        return self.normalized(x, mean, var)


class KeepsGraph(OwnNames):
    def update(self, mean, var, n):
        self.mu = (1 - self.m) * self.mu + self.m * mean
        self.sigma2 = (1 - self.m) * self.sigma2 + self.m * var * n / (n - 1)


class CorrectsTwice(OwnNames):
    @torch.no_grad()
    def update(self, mean, var, n):
        self.mu.lerp_(mean.to(self.mu.dtype), self.m)
        self.sigma2.lerp_((var * (n / (n - 1)) ** 2).to(self.mu.dtype), self.m)


class SubtractsRoundedMean(OwnNames):
    def normalized(self, x, mean, var):
        return super().normalized(x, mean.to(x.dtype).to(mean.dtype) if self.training else mean, var)
