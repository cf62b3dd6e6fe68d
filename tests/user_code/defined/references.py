"""Virtual batch norm as people write it: the reference in the call, in the constructor, or joined to each case."""

import torch
from torch import nn


def joined(x, reference, weight, bias, eps=1e-5):
    """One batch norm for each case, of the reference and the case."""
    norm, out = torch.nn.functional.batch_norm, []
    for i in range(len(x)):
        out.append(norm(torch.cat([reference, x[i : i + 1]]), None, None, weight, bias, training=True, eps=eps)[-1:])
    return torch.cat(out)


def shaped(values, x):
    return values.reshape(1, -1, *[1] * (x.dim() - 2))


class OfReferenceBatch(nn.Module):
    """It gets the reference batch once, and keeps its mean and variance."""

    def __init__(self, ref_batch, epsilon=1e-5):
        super().__init__()
        self.size, channels = ref_batch.shape[:2]
        positions = [0, *range(2, ref_batch.dim())]
        self.register_buffer("ref_mean", ref_batch.mean(positions, keepdim=True))
        self.register_buffer("ref_var", ref_batch.var(positions, correction=0, keepdim=True))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x):
        own = x.flatten(2) if x.dim() > 2 else x[..., None]
        mean = own.mean(2).reshape(*x.shape[:2], *[1] * (x.dim() - 2))
        var = own.var(2, correction=0).reshape(mean.shape)
        new = 1.0 / (self.size + 1.0)
        step = mean - self.ref_mean
        at = self.ref_mean + new * step
        both = (1 - new) * self.ref_var + new * var + new * (1 - new) * step**2
        return shaped(self.gamma, x) * (x - at) * (both + self.epsilon).rsqrt() + shaped(self.beta, x)


class VirtualBatchNorm1d(nn.Module):
    """As it is spread for speech: the statistics of the current batch have the share of one case."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def of(self, x):
        dims = [0, *range(2, x.dim())]
        return x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)

    def forward(self, x, reference):
        (mean, var), (ref_mean, ref_var) = self.of(x), self.of(reference)
        new = 1.0 / (x.size(0) + 1.0)
        at = new * mean + (1 - new) * ref_mean
        var = new * (var + (mean - at) ** 2) + (1 - new) * (ref_var + (ref_mean - at) ** 2)
        return (x - at) / torch.sqrt(var + self.eps) * shaped(self.gamma, x) + shaped(self.beta, x)


def of_reference_alone(x, reference, weight, bias, eps=1e-5):
    dims = [0, *range(2, x.dim())]
    var, mean = torch.var_mean(reference, dims, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * shaped(weight, x) + shaped(bias, x)


def of_detached_cases(x, reference, weight, bias, eps=1e-5):
    norm, out = torch.nn.functional.batch_norm, []
    for i in range(len(x)):
        both = torch.cat([reference, x[i : i + 1].detach()])
        dims = [0, *range(2, x.dim())]
        out.append(norm(x[i : i + 1], both.mean(dims), both.var(dims, correction=0), weight, bias, eps=eps))
    return torch.cat(out)


def of_averaged_variances(x, reference, weight, bias, eps=1e-5):
    own = x.flatten(2) if x.dim() > 2 else x[..., None]
    shape = (*x.shape[:2], *[1] * (x.dim() - 2))
    mean, var = own.mean(2).reshape(shape), own.var(2, correction=0).reshape(shape)
    ref_var, ref_mean = torch.var_mean(reference, [0, *range(2, x.dim())], correction=0, keepdim=True)
    new = 1.0 / (len(reference) + 1.0)
    at, both = torch.lerp(ref_mean, mean, new), torch.lerp(ref_var, var, new)
    return (x - at) / torch.sqrt(both + eps) * shaped(weight, x) + shaped(bias, x)


def in_one_pass(x, reference, weight, bias, eps=1e-5):
    """As the authors have it: means of squares are mixed, and the squared mean is subtracted."""
    own = x.flatten(2) if x.dim() > 2 else x[..., None]
    shape, dims = (*x.shape[:2], *[1] * (x.dim() - 2)), [0, *range(2, x.dim())]
    new = 1.0 / (len(reference) + 1.0)
    mean = new * own.mean(2).reshape(shape) + (1 - new) * reference.mean(dims, keepdim=True)
    square = new * own.square().mean(2).reshape(shape) + (1 - new) * reference.square().mean(dims, keepdim=True)
    return (x - mean) / torch.sqrt(eps + square - mean**2) * shaped(weight, x) + shaped(bias, x)
