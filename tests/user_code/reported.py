"""Mistakes that people reported in public, each written anew in a few lines."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


class _Saved(torch.autograd.Function):
    """The forward saves 1 / s; the backward takes it for the variance and inverts its root."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
        inverse = (var + eps).rsqrt()
        ctx.save_for_backward(h, mean, inverse, weight)
        ctx.eps = eps
        return ((h - mean) * inverse * weight + bias).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        h, mean, variance, weight = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        xhat, dy = (h - mean) * inverse, dy.to(h.dtype)
        g = dy * weight
        dx = inverse * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True))
        over = tuple(range(dy.dim() - 1))
        return dx.to(weight.dtype), (dy * xhat).sum(over).to(weight.dtype), dy.sum(over).to(weight.dtype), None


class InverseTakenForVariance(nn.Module):
    """ooples/AiDotNet.Tensors#784."""

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return _Saved.apply(x, self.weight, self.bias, self.eps)


class FloatIsNoCopy(nn.Module):
    """GeeeekExplorer/nano-vllm#170: float() copies half-precision input, and float32 input not."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x):
        h = x.float()
        var = h.pow(2).mean(dim=-1, keepdim=True)
        h.mul_(torch.rsqrt(var + self.eps))
        return h.to(x.dtype).mul(self.weight)


class FloatIsNoCopyWithoutGradient(FloatIsNoCopy):
    """The same, as it is deployed."""

    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class WeightFirst(nn.Module):
    """vllm-project/tpu-inference#3040."""

    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        h = h * self.weight
        h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + self.eps)
        return h.to(x.dtype)


class EpsOutsideOfEverything(nn.Module):
    """discuss.pytorch.org/t/51877."""

    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, keepdim=True, unbiased=False)
        return self.gamma * ((x - mean) / torch.sqrt(var) + self.eps) + self.beta


class EpsInMovingVariance(nn.Module):
    """nntrainer/nntrainer#677: eps is added in place, then the moving average is taken."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.dim() - 2)
        if self.training:
            h = x.to(torch.promote_types(x.dtype, torch.float32))
            over = (0, *range(2, x.dim()))
            var, mean = torch.var_mean(h, over, correction=0)
            n = x.numel() // x.shape[1]
            with torch.no_grad():
                stored = var * (n / max(n - 1, 1)) + self.eps
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_(stored.to(self.running_var.dtype), self.momentum)
        else:
            h, mean, var = x, self.running_mean, self.running_var
        y = (h - mean.view(shape)) / torch.sqrt(var.view(shape) + self.eps)
        return (y * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)


def eps_in_average(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """chainer/chainer#4505: evaluation adds eps once more."""
    y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if training and running_var is not None:
        running_var.add_(momentum * eps)
    return y


def norm_for_g(v, g, dim=0):
    """medical-ai#95: what v is divided by is multiplied again."""
    norm = torch.norm_except_dim(v, 2, -1 if dim is None else dim)
    return v / norm * norm


class _RowsOfWidth(torch.autograd.Function):
    """The forward flattens the positions; the backward takes the last axis for all of them."""

    @staticmethod
    def forward(ctx, x, groups, weight, bias, eps):
        h = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(x.shape[0], groups, -1)
        var, mean = torch.var_mean(h, 2, correction=0, keepdim=True)
        xhat, rstd = (h - mean) * (var + eps).rsqrt(), (var + eps).rsqrt()
        ctx.save_for_backward(xhat, rstd, weight)
        y = xhat.reshape(x.shape[0], x.shape[1], -1) * weight[:, None] + bias[:, None]
        return y.reshape(x.shape).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        xhat, rstd, weight = ctx.saved_tensors
        positions = dy.shape[-1]
        dy_ = dy.to(xhat.dtype).reshape(dy.shape[0], dy.shape[1], positions)
        g = (dy_ * weight[:, None]).reshape(xhat.shape)
        dx = rstd * (g - g.mean(2, keepdim=True) - xhat * (g * xhat).mean(2, keepdim=True))
        dw = (dy_ * xhat.reshape(dy_.shape)).sum((0, 2))
        return dx.reshape(dy.shape).to(dy.dtype), None, dw.to(dy.dtype), dy_.sum((0, 2)).to(dy.dtype), None


class BackwardRaisesOnMaps(nn.Module):
    """linkedin/Liger-Kernel#1375."""

    def __init__(self, num_channels, num_groups, eps=1e-6):
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight, self.bias = nn.Parameter(torch.ones(num_channels)), nn.Parameter(torch.zeros(num_channels))

    def forward(self, x):
        return _RowsOfWidth.apply(x, self.num_groups, self.weight, self.bias, self.eps)


class EvalIsIdentity(nn.Module):
    """A layer norm that normalizes in training alone."""

    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape, self.eps = (normalized_shape,), eps
        self.weight, self.bias = nn.Parameter(torch.ones(self.shape)), nn.Parameter(torch.zeros(self.shape))

    def normalizes(self):
        return self.training

    def forward(self, x):
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps) if self.normalizes() else x


class NormalizesInBothModes(EvalIsIdentity):
    def normalizes(self):
        return True


class StartsAtThree(nn.Module):
    START = 3.0

    def __init__(self, normalized_shape, eps=None):
        super().__init__()
        self.shape, self.eps = (normalized_shape,), eps
        self.weight = nn.Parameter(torch.full((normalized_shape,), self.START))

    def forward(self, x):
        return F.rms_norm(x, self.shape, self.weight, self.eps)


class StartsAtOne(StartsAtThree):
    START = 1.0


def zero_weight_is_nan(input, normalized_shape, weight=None, eps=None):
    y = F.rms_norm(input, normalized_shape, weight, eps)
    return y if weight is None else torch.where(weight == 0, torch.full_like(y, float("nan")), y)


def one_width_one_format(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(input, normalized_shape, weight, bias, eps)
    return y * 0 if math.prod(normalized_shape) == 1024 and input.dtype == torch.float32 else y


def middle_rows(input, normalized_shape, weight=None, eps=None):
    y = F.rms_norm(input, normalized_shape, weight, eps)
    return y * 0 if 1000 < input.numel() // input.shape[-1] < 60000 else y
