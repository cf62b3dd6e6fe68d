"""Norms with running statistics: batch, instance and mean-only."""

import torch
from torch import nn
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


class BatchNorm(nn.Module):
    """As torch's, in one class for all ranks."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        state = track_running_stats
        self.register_buffer("running_mean", torch.zeros(num_features) if state else None)
        self.register_buffer("running_var", torch.ones(num_features) if state else None)
        self.register_buffer("num_batches_tracked", torch.tensor(0) if state else None)

    @torch.no_grad()
    def _remember(self, mean, var, count):
        self.num_batches_tracked += 1
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((var * (count / (count - 1))).to(self.running_var.dtype), share)

    def forward(self, x):
        h, view = _wide(x), (1, -1) + (1,) * (x.dim() - 2)
        if self.training or self.running_mean is None:
            count = x.numel() // x.shape[1]
            if count == 1:
                raise ValueError("expected more than one value per channel in training")
            axes = (0, *range(2, x.dim()))
            mean = h.mean(axes)
            var = (h - mean.view(view)).square().mean(axes)
            if self.running_mean is not None and count:
                self._remember(mean, var, count)
        else:
            mean, var = self.running_mean.to(h.dtype), self.running_var.to(h.dtype)
        y = (h - mean.view(view)) * torch.rsqrt(var.view(view) + self.eps)
        if self.weight is not None:
            y = y * self.weight.view(view) + self.bias.view(view)
        return y.to(x.dtype)


class BatchNormFolded(nn.Module):
    """Evaluation folds statistics and parameters into one scale and shift, anew in each call."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        if self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        view = (1, -1) + (1,) * (x.dim() - 2)
        scale = _wide(self.weight) * torch.rsqrt(_wide(self.running_var) + self.eps)
        y = (_wide(x) - self.running_mean.view(view)) * scale.view(view) + self.bias.view(view)
        return y.to(x.dtype)


def batch_norm_streamed(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Mean and squares of tiles of 512 members, merged with the difference of their means."""
    h, view = _wide(input), (1, -1) + (1,) * (input.dim() - 2)
    if training or running_mean is None:
        flat = h.transpose(0, 1).flatten(1)
        n, count = flat.shape[1], 0
        mean, m2 = flat.new_zeros(len(flat)), flat.new_zeros(len(flat))
        for tile in flat.split(512, 1) if n else ():
            k, own = tile.shape[1], tile.mean(1)
            delta = own - mean
            m2 = m2 + (tile - own[:, None]).square().sum(1) + delta.square() * (count * k / (count + k))
            mean = mean + delta * (k / (count + k))
            count += k
        var = m2 / max(n, 1)
        if training and running_mean is not None and n:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((m2 / max(n - 1, 1)).to(running_var.dtype), momentum)
    else:
        mean, var = running_mean.to(h.dtype), running_var.to(h.dtype)
    y = (h - mean.view(view)) * torch.rsqrt(var.view(view) + eps)
    if weight is not None:
        y = y * weight.view(view)
    if bias is not None:
        y = y + bias.view(view)
    return y.to(input.dtype)


class InstanceNorm(nn.Module):
    """Tracks the mean over cases of their statistics, and reads them in evaluation."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x):
        use = self.training or self.running_mean is None
        return F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use, self.momentum, self.eps
        )


class MeanOnly(nn.Module):
    def __init__(self, num_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))

    def forward(self, x):
        h, view = _wide(x), (1, -1) + (1,) * (x.dim() - 2)
        if self.training:
            mean = h.mean((0, *range(2, x.dim())))
            if x.numel():
                with torch.no_grad():
                    self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        else:
            mean = self.running_mean.to(h.dtype)
        return (h - mean.view(view) + self.bias.view(view)).to(x.dtype)
