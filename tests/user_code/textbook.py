"""Norms as textbooks write them: right, and without a thought of half precision."""

import torch


def layer_norm(x, weight, bias, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * weight + bias


def rms_norm(x, weight, eps=1e-6):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def batch_norm(x, weight, bias, eps=1e-5):
    dims, shape = (0, *range(2, x.dim())), (1, -1, *(1,) * (x.dim() - 2))
    mean = x.mean(dims, keepdim=True)
    var = x.var(dims, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * weight.view(shape) + bias.view(shape)


def group_norm(x, num_groups, weight, bias, eps=1e-5):
    n, c, *space = x.shape
    grouped = x.reshape(n, num_groups, c // num_groups, *space)
    dims, shape = tuple(range(2, grouped.dim())), (1, c, *(1,) * len(space))
    mean = grouped.mean(dims, keepdim=True)
    var = grouped.var(dims, unbiased=False, keepdim=True)
    y = ((grouped - mean) / torch.sqrt(var + eps)).reshape(x.shape)
    return y * weight.view(shape) + bias.view(shape)


def instance_norm(x, weight, bias, eps=1e-5):
    dims, shape = tuple(range(2, x.dim())), (1, -1, *(1,) * (x.dim() - 2))
    mean = x.mean(dims, keepdim=True)
    var = x.var(dims, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * weight.view(shape) + bias.view(shape)
