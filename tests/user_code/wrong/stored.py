"""Batch and instance norm that store another number than the variance of the batch."""

import torch
import torch.nn.functional as F
from torch import nn


def _up(t):
    return t if t.dtype == torch.float64 else t.float()


def _over(p, x):
    return _up(p).view(1, -1, *(1,) * (x.dim() - 2))


def _apply(x, mean, rstd, weight, bias):
    h = (_up(x) - mean) * rstd
    h = h if weight is None else h * _over(weight, h)
    return (h if bias is None else h + _over(bias, h)).to(x.dtype)


def _statistics(x):
    return torch.var_mean(_up(x), [0, *range(2, x.dim())], correction=0, keepdim=True)


def _blend(old, new, momentum):
    old.copy_((1 - momentum) * _up(old) + momentum * new.detach().flatten())


def _bessel(x):
    n = x.numel() // x.shape[1]
    return n / max(n - 1, 1)


def _evaluate(x, mean, var, weight, bias, eps):
    return _apply(x, _over(mean, x), torch.rsqrt(_over(var, x) + eps), weight, bias)


def eps_kept(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The mean of what is corrected has eps in it: it was added for the root, and the same variable is stored."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    var, mean = _statistics(x)
    if training and running_mean is not None:
        _blend(running_mean, mean, momentum)
        _blend(running_var, var * _bessel(x) + eps, momentum)
    return _apply(x, mean, torch.rsqrt(var + eps), weight, bias)


class EpsThenBessel(nn.BatchNorm2d):
    """var += eps comes first."""

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training and self.track_running_stats:
            return _evaluate(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        var, mean = _statistics(x)
        var = var + self.eps
        if self.training and self.track_running_stats and x.numel():
            self.num_batches_tracked.add_(1)
            share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            with torch.no_grad():
                _blend(self.running_mean, mean, share)
                _blend(self.running_var, var * _bessel(x), share)
        return _apply(x, mean, var.rsqrt(), self.weight, self.bias)


def inverse_kept(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The kernel returns mean and invstd, and both are blended into the state."""
    if not training and running_mean is not None:
        return _evaluate(x, running_mean, running_var, weight, bias, eps)
    y = F.batch_norm(x, None, None, weight, bias, True, momentum, eps)
    if training and running_mean is not None:
        var, mean = _statistics(x)
        _blend(running_mean, mean, momentum)
        _blend(running_var, torch.rsqrt(var * _bessel(x) + eps), momentum)
    return y
