"""Batch norm with one fault in each function or class."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _view(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


def _axes(x):
    return (0, *range(2, x.dim()))


def _affine(y, weight, bias, dtype):
    if weight is not None:
        y = y * _view(weight, y)
    if bias is not None:
        y = y + _view(bias, y)
    return y.to(dtype)


@torch.no_grad()
def _update(running_mean, running_var, mean, var, x, momentum):
    n = x.numel() // x.shape[1]
    if running_mean is not None:
        running_mean.copy_((1 - momentum) * _wide(running_mean) + momentum * mean)
    if running_var is not None:
        running_var.copy_((1 - momentum) * _wide(running_var) + momentum * var * (n / max(n - 1, 1)))


def _normalized(x, mean, var, weight, bias, eps):
    y = (_wide(x) - _view(mean, x)) / torch.sqrt(_view(_wide(var), x) + eps)
    return _affine(y, weight, bias, x.dtype)


def unbiased(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Normalizes by the variance with n - 1."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    mean, var = x.mean(_axes(x)), x.var(_axes(x))
    if training:
        n = x.numel() // x.shape[1]
        _update(running_mean, running_var, mean, var * (n - 1) / n, x, momentum)
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


def eps_outside(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """std + eps, in training and in evaluation."""
    h = _wide(x)
    if training or running_mean is None:
        var, mean = torch.var_mean(h, _axes(x), correction=0)
        if training:
            _update(running_mean, running_var, mean, var, x, momentum)
    else:
        mean, var = running_mean, _wide(running_var)
    return _affine((h - _view(mean, x)) / (_view(var, x).sqrt() + eps), weight, bias, x.dtype)


def eps_ignored(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Always 1e-5."""
    dtype, input = input.dtype, _wide(input)
    if not training and running_mean is not None:
        return _normalized(input, running_mean, running_var, weight, bias, 1e-5).to(dtype)
    var, mean = torch.var_mean(input, _axes(input), correction=0)
    if training:
        _update(running_mean, running_var, mean, var, input, momentum)
    return _normalized(input, mean, var, weight, bias, 1e-5).to(dtype)


def one_pass(x, running_mean, running_var, gamma=None, beta=None, training=False, momentum=0.1, eps=1e-5):
    """E[x^2] - E[x]^2 over the batch."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, gamma, beta, eps).to(dtype)
    mean = x.mean(_axes(x))
    var = torch.clamp((x * x).mean(_axes(x)) - mean * mean, min=0)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var, gamma, beta, eps).to(dtype)


def mean_detached(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """No gradient through the mean."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    mean = x.detach().mean(_axes(x))
    var = (x - _view(mean, x)).square().mean(_axes(x))
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


class _Backward(torch.autograd.Function):
    """Training only; the subclasses change one line of the backward."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        var, mean = torch.var_mean(h, _axes(x), correction=0)
        rstd = _view(torch.rsqrt(var + eps), x)
        xhat = (h - _view(mean, x)) * rstd
        ctx.save_for_backward(x, xhat, rstd, weight, bias)
        ctx.mark_non_differentiable(mean, var)
        return _affine(xhat, weight, bias, x.dtype), mean, var


class _NoVarianceTerm(_Backward):
    @staticmethod
    @once_differentiable
    def backward(ctx, dy, _mean, _var):
        x, xhat, rstd, weight, bias = ctx.saved_tensors
        dy, axes = _wide(dy), _axes(x)
        g = dy if weight is None else dy * _view(weight, x)
        dx = rstd * (g - g.mean(axes, keepdim=True))
        dweight = None if weight is None else (dy * xhat).sum(axes).to(weight.dtype)
        return dx.to(x.dtype), dweight, None if bias is None else dy.sum(axes).to(bias.dtype), None


class _WeightGradientFromInput(_Backward):
    @staticmethod
    @once_differentiable
    def backward(ctx, dy, _mean, _var):
        x, xhat, rstd, weight, bias = ctx.saved_tensors
        dy, axes = _wide(dy), _axes(x)
        g = dy if weight is None else dy * _view(weight, x)
        dx = rstd * (g - g.mean(axes, keepdim=True) - xhat * (g * xhat).mean(axes, keepdim=True))
        dweight = None if weight is None else (dy * _wide(x)).sum(axes).to(weight.dtype)
        return dx.to(x.dtype), dweight, None if bias is None else dy.sum(axes).to(bias.dtype), None


def no_variance_term(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps)
    y, mean, var = _NoVarianceTerm.apply(x, weight, bias, eps)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return y


def weight_gradient_from_input(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps)
    y, mean, var = _WeightGradientFromInput.apply(x, weight, bias, eps)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return y


def affine_ignored(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, None, None, eps).to(dtype)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var, None, None, eps).to(dtype)


def through_float32(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Float64 goes through float32."""
    h = x.float()
    if training or running_mean is None:
        var, mean = torch.var_mean(h, _axes(x), correction=0)
        if training:
            _update(running_mean, running_var, mean, var, x, momentum)
    else:
        mean, var = running_mean.float(), running_var.float()
    return _affine((h - _view(mean, x)) / torch.sqrt(_view(var, x) + eps), weight, bias, x.dtype)


def running_sum_in_half(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Case by case, the sums are kept in the input's type."""
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps)
    n = x.numel() // x.shape[1]
    rows = x.movedim(1, -1).reshape(n, -1)
    total = torch.zeros_like(rows[0])
    for row in rows:
        total = total + row
    mean = _wide(total) / n
    squares = torch.zeros_like(total)
    for row in rows:
        squares = squares + ((row - mean) ** 2).to(x.dtype)
    var = _wide(squares) / n
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var, weight, bias, eps)


def biased_running_variance(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Stores the variance that divides by n."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training and running_mean is not None:
        with torch.no_grad():
            running_mean.mul_(1 - momentum).add_(momentum * mean.to(running_mean.dtype))
            running_var.mul_(1 - momentum).add_(momentum * var.to(running_var.dtype))
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


def swapped_momentum(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The momentum weighs the old state."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training:
        _update(running_mean, running_var, mean, var, x, 1 - momentum)
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


def not_updated(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """The new state is bound to a local name and lost."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training and running_mean is not None:
        n = x.numel() // x.shape[1]
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * var.detach() * n / max(n - 1, 1)
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


def batch_statistics_always(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Evaluation uses the batch too."""
    dtype, x = x.dtype, _wide(x)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var, weight, bias, eps).to(dtype)


def first_channel_scale(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Each channel is scaled by the variance of channel 0."""
    dtype, x = x.dtype, _wide(x)
    if not training and running_mean is not None:
        return _normalized(x, running_mean, running_var, weight, bias, eps).to(dtype)
    var, mean = torch.var_mean(x, _axes(x), correction=0)
    if training:
        _update(running_mean, running_var, mean, var, x, momentum)
    return _normalized(x, mean, var[:1].expand_as(var), weight, bias, eps).to(dtype)


class _Module(nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)

    def forward(self, x):
        dtype, x = x.dtype, _wide(x)
        if not self.training and self.running_mean is not None:
            return _normalized(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps).to(dtype)
        var, mean = torch.var_mean(x, _axes(x), correction=0)
        if self.training and self.running_mean is not None:
            self._track(mean.detach(), var.detach(), x)
        return _normalized(x, mean, var, self.weight, self.bias, self.eps).to(dtype)

    def _track(self, mean, var, x):
        _update(self.running_mean, self.running_var, mean, var, x, self.momentum)


class KerasMomentum(_Module):
    """Written for a momentum of 0.9, used with torch's."""

    def _track(self, mean, var, x):
        n = x.numel() // x.shape[1]
        self.running_mean.mul_(self.momentum).add_((1 - self.momentum) * mean)
        self.running_var.mul_(self.momentum).add_((1 - self.momentum) * var * n / max(n - 1, 1))


class BiasedRunningVariance(_Module):
    def _track(self, mean, var, x):
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(var.to(self.running_var.dtype), self.momentum)


class NeverTracks(_Module):
    def _track(self, mean, var, x):
        pass


class AlwaysTheBatch(_Module):
    """Evaluation uses the batch too."""

    def forward(self, x):
        dtype, x = x.dtype, _wide(x)
        var, mean = torch.var_mean(x, _axes(x), correction=0)
        if self.training and self.running_mean is not None:
            self._track(mean.detach(), var.detach(), x)
        return _normalized(x, mean, var, self.weight, self.bias, self.eps).to(dtype)
