"""Functions that take a variance as a difference of large squares: right for inputs of mean 0, and for no others."""

import torch


def one_pass(x, axes):
    mean = x.mean(axes, keepdim=True)
    return (x.square().mean(axes, keepdim=True) - mean * mean).clamp_min(0), mean


def spatially_adaptive(x, gamma, beta, eps=1e-5):
    var, mean = one_pass(x, (0, *range(2, x.dim())))
    return (x - mean) * torch.rsqrt(var + eps) * (1 + gamma) + beta


def deep(x, branch, weight, bias, alpha=1.0, eps=1e-5):
    h = alpha * x + branch
    var, mean = one_pass(h, -1)
    return (h - mean) * torch.rsqrt(var + eps) * weight + bias


def graph(x, weight, bias, mean_scale, eps=1e-5):
    mean, square = x.mean(0, keepdim=True), x.square().mean(0, keepdim=True)
    var = square - (2 * mean_scale - mean_scale * mean_scale) * mean * mean
    return weight * (x - mean_scale * mean) / torch.sqrt(var + eps) + bias


def pair(x, scale=1.0, eps=1e-5):
    mean = x.mean(0, keepdim=True)
    square = (x.square().sum(-1).mean() - mean.square().sum()).clamp_min(0)
    return scale * (x - mean) / (square + eps).sqrt()


def switchable(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    shape = (1, -1, *[1] * (x.dim() - 2))
    h = x.flatten(2)
    mean, var = h.mean(-1, keepdim=True), h.var(-1, keepdim=True, correction=0)
    square = var + mean**2
    means = [mean, mean.mean(1, keepdim=True), mean.mean(0, keepdim=True)]
    variances = [var, square.mean(1, keepdim=True) - means[1] ** 2, square.mean(0, keepdim=True) - means[2] ** 2]
    mean = sum(share * m for share, m in zip(mean_weight.softmax(0), means))
    var = sum(share * v for share, v in zip(var_weight.softmax(0), variances))
    y = ((h - mean) / (var + eps).sqrt()).reshape(x.shape)
    return y * weight.reshape(shape) + bias.reshape(shape)
