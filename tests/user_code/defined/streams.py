"""Streaming batch norm as people write it: the gradient through the mix, or in full to the batch."""

import torch
from torch import nn


def shaped(values, x):
    return values.reshape(1, -1, *[1] * (x.dim() - 2))


def now(x, eps):
    var, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
    return mean, torch.sqrt(var + eps)


class Stream(torch.autograd.Function):
    """The mix in the forward, the whole cotangent to the statistic of the batch in the backward."""

    @staticmethod
    def forward(ctx, s, long, alpha):
        return alpha * long + (1 - alpha) * s

    @staticmethod
    def backward(ctx, g):
        return g, None, None


class StreamingNorm(nn.Module):
    def __init__(self, num_features, eps=1e-5, alpha=0.7, decay_factor_f=0.7):
        super().__init__()
        self.eps, self.alpha, self.decay = eps, alpha, decay_factor_f
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("long_mean", torch.zeros(num_features))
        self.register_buffer("long_std", torch.ones(num_features))

    def forward(self, x):
        mean, std = now(x, self.eps)
        m, s = Stream.apply(mean, self.long_mean, self.alpha), Stream.apply(std, self.long_std, self.alpha)
        self.long_mean = self.decay * self.long_mean + (1 - self.decay) * mean.detach()
        self.long_std = self.decay * self.long_std + (1 - self.decay) * std.detach()
        return (x - shaped(m, x)) / shaped(s, x) * shaped(self.weight, x) + shaped(self.bias, x)


def by_autograd(x, weight, bias, running_mean, running_std, alpha=0.7, kappa=0.7, eps=1e-5):
    mean, std = now(x, eps)
    m, s = torch.lerp(mean, running_mean.clone(), alpha), torch.lerp(std, running_std.clone(), alpha)
    with torch.no_grad():
        running_mean.lerp_(mean, 1 - kappa)
        running_std.lerp_(std, 1 - kappa)
    return (x - shaped(m, x)) / shaped(s, x) * shaped(weight, x) + shaped(bias, x)


def normalized(x, past, batch, weight, bias, alpha):
    m, s = (alpha * old + (1 - alpha) * new for old, new in zip(past, batch))
    return (x - shaped(m, x)) / shaped(s, x) * shaped(weight, x) + shaped(bias, x)


def detached(x, weight, bias, running_mean, running_std, alpha=0.7, kappa=0.7, eps=1e-5):
    past, batch = (running_mean, running_std), now(x.detach(), eps)
    y = normalized(x, past, batch, weight, bias, alpha)
    for old, new in zip(past, batch):
        old.lerp_(new, 1 - kappa)
    return y


def momentum_of_torch(x, weight, bias, running_mean, running_std, alpha=0.7, kappa=0.7, eps=1e-5):
    past, batch = (running_mean, running_std), now(x, eps)
    y = normalized(x, [old.clone() for old in past], batch, weight, bias, alpha)
    for old, new in zip(past, batch):
        old.lerp_(new.detach(), kappa)
    return y


def keeps_the_mix(x, weight, bias, running_mean, running_std, alpha=0.7, kappa=0.7, eps=1e-5):
    past, batch = (running_mean, running_std), now(x, eps)
    y = normalized(x, [old.clone() for old in past], batch, weight, bias, alpha)
    for old, new in zip(past, batch):
        old.copy_(kappa * old + (1 - kappa) * (alpha * old + (1 - alpha) * new.detach()))
    return y


def of_variances(x, weight, bias, running_mean, running_std, alpha=0.7, kappa=0.7, eps=1e-5):
    mean, std = now(x, eps)
    m = alpha * running_mean + (1 - alpha) * mean
    s = torch.sqrt(alpha * running_std**2 + (1 - alpha) * std**2)
    running_mean.copy_(kappa * running_mean + (1 - kappa) * mean.detach())
    running_std.copy_(kappa * running_std + (1 - kappa) * std.detach())
    return (x - shaped(m, x)) / shaped(s, x) * shaped(weight, x) + shaped(bias, x)
