"""Batch norm with running statistics that stay behind, or come from somewhere else."""

import torch
from torch import nn


def _up(t):
    return t if t.dtype == torch.float64 else t.float()


def _over(p, x):
    return _up(p).view(1, -1, *(1,) * (x.dim() - 2))


def _normalize(x, mean, var, weight, bias, eps):
    h = (_up(x) - _over(mean, x)) * torch.rsqrt(_over(var, x) + eps)
    h = h if weight is None else h * _over(weight, x)
    return (h if bias is None else h + _over(bias, x)).to(x.dtype)


def _statistics(x):
    return torch.var_mean(_up(x), [0, *range(2, x.dim())], correction=0)


def _blend(running_mean, running_var, mean, var, x, momentum):
    n = x.numel() / x.shape[1]
    with torch.no_grad():
        running_mean.copy_(torch.lerp(_up(running_mean), mean, momentum))
        running_var.copy_(torch.lerp(_up(running_var), var * (n / max(n - 1, 1)), momentum))


def two_devices(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Data parallel on two devices: each normalizes its own half, and the first one's buffers are kept."""
    if not training and running_mean is not None:
        return _normalize(x, running_mean, running_var, weight, bias, eps)
    halves = x.chunk(2) if len(x) % 2 == 0 and len(x) else [x]
    done = []
    for device, half in enumerate(halves):
        var, mean = _statistics(half)
        if device == 0 and running_mean is not None:
            _blend(running_mean, running_var, mean, var, half, momentum)
        done.append(_normalize(half, mean, var, weight, bias, eps))
    return torch.cat(done)


def contiguous_first(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The kernel takes contiguous memory only."""
    if running_mean is not None:
        running_mean, running_var = running_mean.contiguous(), running_var.contiguous()
    if not training and running_mean is not None:
        return _normalize(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if running_mean is not None:
        _blend(running_mean, running_var, mean, var, x, momentum)
    return _normalize(x, mean, var, weight, bias, eps)


def learns_while_recording(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Where nothing is recorded nothing is trained, so the statistics are left as they are."""
    if not training and running_mean is not None:
        return _normalize(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if running_mean is not None and torch.is_grad_enabled():
        _blend(running_mean, running_var, mean, var, x, momentum)
    return _normalize(x, mean, var, weight, bias, eps)


class _BatchNorm(nn.Module):
    """Like torch's, with buffers that are assigned anew."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def old_share(self):
        """The weight of what was there, of which the new batch takes the rest."""
        return 1 - 1 / float(self.num_batches_tracked) if self.momentum is None else 1 - self.momentum

    def update(self, mean, var, x):
        self.num_batches_tracked += 1
        n, old = x.numel() / x.shape[1], self.old_share()
        dtype = self.running_mean.dtype
        self.running_mean = (old * _up(self.running_mean) + (1 - old) * mean).to(dtype)
        self.running_var = (old * _up(self.running_var) + (1 - old) * var * (n / max(n - 1, 1))).to(dtype)

    def forward(self, x):
        if not self.training:
            return _normalize(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        var, mean = _statistics(x)
        if x.numel():
            self.update(mean, var, x)
        return _normalize(x, mean, var, self.weight, self.bias, self.eps)


class OldShareFromCount(_BatchNorm):
    """Momentum is the weight of what was there, as in Keras; the one that the count gives is taken for that, too."""

    def __init__(self, num_features, eps=1e-5, momentum=0.9):
        super().__init__(num_features, eps, momentum)

    def old_share(self):
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    def update(self, mean, var, x):
        super().update(mean.detach(), var.detach(), x)


class NeverDetaches(_BatchNorm):
    """The running statistics are an average of tensors of the graph."""
