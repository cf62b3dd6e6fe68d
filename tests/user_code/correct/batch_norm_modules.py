"""Batch norm as module classes with running statistics."""

import torch
from torch import nn


class BatchNorm(nn.Module):
    """The constructor of torch.nn.BatchNorm1d, 2d and 3d in one class; momentum=None averages over all batches."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        if affine:
            self.weight = nn.Parameter(torch.ones(num_features))
            self.bias = nn.Parameter(torch.zeros(num_features))
        else:
            self.weight = self.bias = None
        if track_running_stats:
            self.register_buffer("running_mean", torch.zeros(num_features))
            self.register_buffer("running_var", torch.ones(num_features))
            self.register_buffer("num_batches_tracked", torch.tensor(0))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.dim() - 2)
        h = x if x.dtype == torch.float64 else x.float()
        if self.training or self.running_mean is None:
            axes = (0, *range(2, x.dim()))
            mean = h.mean(axes)
            var = (h - mean.view(shape)).pow(2).mean(axes)
            if self.training and self.running_mean is not None:
                self._track(mean.detach(), var.detach(), x.numel() // x.shape[1])
        else:
            mean, var = self.running_mean, self.running_var.to(h.dtype)
        y = (h - mean.view(shape)) / torch.sqrt(var.view(shape) + self.eps)
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    def _track(self, mean, var, count):
        self.num_batches_tracked += 1
        factor = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        unbiased = var * count / max(count - 1, 1)
        self.running_mean += factor * (mean - self.running_mean).to(self.running_mean.dtype)
        self.running_var += factor * (unbiased - self.running_var).to(self.running_var.dtype)


class PlainBatchNorm(nn.Module):
    """Always affine, always tracking; parameters called gamma and beta."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps = eps
        self.momentum = momentum

    def forward(self, input):
        rows = input.to(torch.promote_types(input.dtype, torch.float32)).movedim(1, -1)
        mean, var = self.running_mean.to(rows.dtype), self.running_var.to(rows.dtype)
        if self.training:
            over = tuple(range(rows.dim() - 1))
            var, mean = torch.var_mean(rows, over, unbiased=False)
            n = rows.numel() // rows.shape[-1]
            with torch.no_grad():
                keep = 1 - self.momentum
                self.running_mean.copy_(keep * self.running_mean + self.momentum * mean)
                self.running_var.copy_(keep * self.running_var + self.momentum * var * (n / max(n - 1, 1)))
        y = (rows - mean) * torch.rsqrt(var + self.eps)
        return (y * self.gamma + self.beta).to(input.dtype).movedim(-1, 1)


class OwnNames(nn.Module):
    """Its running statistics have names that no other code gives them."""

    def __init__(self, channels, eps=1e-5, momentum=0.1):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mu", torch.zeros(channels))
        self.register_buffer("sigma2", torch.ones(channels))
        self.eps, self.m = eps, momentum

    def forward(self, x):
        mean, var = self.mu, self.sigma2
        if self.training:
            flat = x.transpose(0, 1).flatten(1)
            n = flat.shape[1]
            if n == 1:
                raise ValueError("a batch of one value has no variance")
            flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
            mean, var = flat.mean(1), flat.var(1, unbiased=False)
            with torch.no_grad():
                self.mu.lerp_(mean.to(self.mu.dtype), self.m)
                self.sigma2.lerp_((var * n / (n - 1)).to(self.mu.dtype), self.m)
        shape = (1, -1, *(1,) * (x.dim() - 2))
        y = (x - mean.view(shape)) * torch.rsqrt(var.view(shape) + self.eps)
        return (y * self.gamma.view(shape) + self.beta.view(shape)).to(x.dtype)
