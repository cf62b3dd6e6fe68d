"""Mean-only batch norm, as code has it beside weight norm."""

import torch
from torch import nn


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _view(p, x):
    return p.reshape(1, -1, *[1] * (x.dim() - 2))


class MeanOnlyBN(nn.Module):
    """With a factor for the new batch, and a bias under another name."""

    def __init__(self, num_channels, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.beta = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("moving_mean", torch.zeros(num_channels))

    def forward(self, x):
        if self.training:
            flat = _wide(x).transpose(0, 1).flatten(1)
            mean = flat.mean(1)
            self.moving_mean += self.momentum * (mean.detach() - self.moving_mean)
        else:
            mean = self.moving_mean
        return (_wide(x) - _view(mean, x) + _view(self.beta, x)).to(x.dtype)


class Centered(torch.autograd.Function):
    """Its own backward: the cotangent less its mean."""

    @staticmethod
    def forward(ctx, x):
        axes = [a for a in range(x.dim()) if a != 1]
        mean = _wide(x).mean(axes)
        ctx.mark_non_differentiable(mean)
        return (_wide(x) - _view(mean, x)).to(x.dtype), mean

    @staticmethod
    def backward(ctx, dy, _):
        axes = [a for a in range(dy.dim()) if a != 1]
        return (_wide(dy) - _wide(dy).mean(axes, keepdim=True)).to(dy.dtype)


def own_backward(input, running_mean=None, bias=None, training=False, momentum=0.1):
    if training:
        y, mean = Centered.apply(input)
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.to(running_mean.dtype), alpha=momentum)
    else:
        y = (_wide(input) - _view(_wide(running_mean), input)).to(input.dtype)
    return y if bias is None else (_wide(y) + _view(_wide(bias), y)).to(y.dtype)


def through_batch_norm(x, moving_mean=None, beta=None, train=False, momentum=0.1):
    """The mean of torch's own statistics."""
    if train:
        _, mean = torch.ops.aten.var_mean.correction(_wide(x), [a for a in range(x.dim()) if a != 1], correction=0)
        if moving_mean is not None:
            moving_mean.copy_((1 - momentum) * _wide(moving_mean) + momentum * mean.detach())
    else:
        mean = _wide(moving_mean)
    y = _wide(x) - _view(mean, x)
    return (y if beta is None else y + _view(beta, x)).to(x.dtype)
