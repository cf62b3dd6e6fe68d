"""Batch, instance and mean-only batch norm whose single call is right, and whose memory is not."""

import torch
from torch import nn
from torch.nn import functional as F


class _BatchNorm(nn.Module):
    """As torch's, in one class for all ranks. Each class below changes one thing."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.make_state()

    def make_state(self):
        self.register_buffer("running_mean", torch.zeros(self.num_features))
        self.register_buffer("running_var", torch.ones(self.num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def share(self):
        if self.momentum is None:
            return 1.0 / float(self.num_batches_tracked)
        return self.momentum

    def statistics(self, h):
        axes = [0, *range(2, h.dim())]
        mean = h.mean(axes)
        var = (h - self.along(mean, h)).square().mean(axes)
        return mean, var

    @torch.no_grad()
    def remember(self, mean, var, count):
        self.num_batches_tracked += 1
        share = self.share()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((var * (count / (count - 1))).to(self.running_var.dtype), share)

    def along(self, p, x):
        return p.view(1, -1, *[1] * (x.dim() - 2))

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.training:
            count = x.numel() // x.shape[1]
            if count == 1:
                raise ValueError("one value per channel has no variance")
            mean, var = self.statistics(h)
            if count:
                self.remember(mean, var, count)
        else:
            mean, var = self.running_mean.to(h.dtype), self.running_var.to(h.dtype)
        y = (h - self.along(mean, x)) * torch.rsqrt(self.along(var, x) + self.eps)
        if self.weight is not None:
            y = y * self.along(self.weight, x) + self.along(self.bias, x)
        return y.to(x.dtype)


class MomentumForgotten(_BatchNorm):
    """momentum is kept as an attribute, and a tenth is used."""

    def share(self):
        return 1.0 / float(self.num_batches_tracked) if self.momentum is None else 0.1


class GraphKeptAlive(_BatchNorm):
    """The averages are computed with gradients: the graph of every batch so far hangs on them."""

    def remember(self, mean, var, count):
        self.num_batches_tracked += 1
        share = self.share()
        self.running_mean = (1 - share) * self.running_mean + share * mean.to(self.running_mean.dtype)
        self.running_var = (1 - share) * self.running_var + share * (var * (count / (count - 1))).to(
            self.running_var.dtype
        )


class NotInCheckpoints(_BatchNorm):
    """The buffers are declared as scratch."""

    def make_state(self):
        self.register_buffer("running_mean", torch.zeros(self.num_features), persistent=False)
        self.register_buffer("running_var", torch.ones(self.num_features), persistent=False)
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))


class AttributesForBuffers(_BatchNorm):
    """Running statistics are plain attributes: neither saved nor moved."""

    def make_state(self):
        self.running_mean = torch.zeros(self.num_features)
        self.running_var = torch.ones(self.num_features)
        self.num_batches_tracked = torch.tensor(0, dtype=torch.long)


class CountedInPython(_BatchNorm):
    """The count of batches is a Python number: a checkpoint does not have it."""

    def make_state(self):
        super().make_state()
        del self.num_batches_tracked
        self.num_batches_tracked = 0


class FirstBatchForEver(_BatchNorm):
    """After the first batch the memory is taken for good."""

    def remember(self, mean, var, count):
        if int(self.num_batches_tracked) == 0:
            super().remember(mean, var, count)
        else:
            self.num_batches_tracked += 1


class OnlyWithGradients(_BatchNorm):
    """Statistics move only while gradients are recorded: estimating them again under no_grad does nothing."""

    def remember(self, mean, var, count):
        if mean.requires_grad or torch.is_grad_enabled():
            super().remember(mean, var, count)


class RoundedOnTheWay(_BatchNorm):
    """The statistics of a batch in half precision are rounded to it before they are averaged."""

    def forward(self, x):
        self._format = x.dtype
        return super().forward(x)

    def remember(self, mean, var, count):
        super().remember(mean.to(self._format).to(mean.dtype), var.to(self._format).to(var.dtype), count)


class OneValueIsFine(_BatchNorm):
    """One value per channel is normalized, and its variance of no freedom goes into the memory."""

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.training and x.numel() // x.shape[1] == 1:
            mean = h.mean([0, *range(2, h.dim())])
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.share())
                self.running_var.lerp_(torch.full_like(self.running_var, float("nan")), self.share())
            y = torch.zeros_like(h) * h
            if self.weight is not None:
                y = y * self.along(self.weight, x) + self.along(self.bias, x)
            return y.to(x.dtype)
        return super().forward(x)


class WarmStart(_BatchNorm):
    """The share of a new batch is its inverse number for the first hundred batches, whatever the momentum."""

    def share(self):
        own = 1.0 / float(self.num_batches_tracked)
        return (
            own
            if self.momentum is None
            else max(self.momentum, own)
            if self.num_batches_tracked < 100
            else self.momentum
        )


class Skipping(_BatchNorm):
    """Large batches are enough: every second batch is left out of the averages."""

    def remember(self, mean, var, count):
        if int(self.num_batches_tracked) % 2:
            self.num_batches_tracked += 1
        else:
            super().remember(mean, var, count)


class ThousandthBatch(_BatchNorm):
    """Large batches are sampled: above a thousand members every second one is read."""

    def statistics(self, h):
        flat = h.transpose(0, 1).flatten(1)
        if flat.shape[1] > 1000:
            flat = flat[:, ::2]
        return flat.mean(1), flat.var(1, unbiased=False)


def buffers_in_place(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Buffers are made contiguous first, so what is written into a strided one is lost."""
    mean = None if running_mean is None else running_mean.contiguous()
    var = None if running_var is None else running_var.contiguous()
    return F.batch_norm(input, mean, var, weight, bias, training, momentum, eps)


class InstanceOfFirstCase(nn.Module):
    """Tracked statistics are those of the batch's first case."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        flat = h.flatten(2)
        if self.training or self.running_mean is None:
            mean, var = flat.mean(2), flat.var(2, unbiased=False)
            if self.running_mean is not None and len(x):
                n = flat.shape[2]
                with torch.no_grad():
                    self.running_mean.lerp_(mean[0].to(self.running_mean.dtype), self.momentum)
                    self.running_var.lerp_((var[0] * n / max(n - 1, 1)).to(self.running_var.dtype), self.momentum)
        else:
            mean, var = self.running_mean.to(h.dtype)[None], self.running_var.to(h.dtype)[None]
        y = (flat - mean[..., None]) * torch.rsqrt(var[..., None] + self.eps)
        if self.weight is not None:
            y = y * self.weight[:, None] + self.bias[:, None]
        return y.reshape(x.shape).to(x.dtype)


class InstanceEvalOwn(nn.Module):
    """Tracks statistics, and reads its own case in evaluation all the same."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x):
        if self.training and self.running_mean is not None:
            F.instance_norm(x.detach(), self.running_mean, self.running_var, momentum=self.momentum)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class MeanOnlyFlipped(nn.Module):
    """momentum is the weight of what was."""

    def __init__(self, num_features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        view = (1, -1) + (1,) * (x.dim() - 2)
        if self.training:
            mean = h.mean([0, *range(2, x.dim())])
            if x.numel():
                with torch.no_grad():
                    self.running_mean.mul_(self.momentum).add_(mean * (1 - self.momentum))
        else:
            mean = self.running_mean.to(h.dtype)
        return (h - mean.view(view) + self.bias.view(view)).to(x.dtype)
