"""Layers whose parameters are inside other modules, or have names beside those of another role."""

import torch
from torch import nn


def shaped(values, x):
    return values.reshape(1, -1, *[1] * (x.dim() - 2))


class Affine(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return x * self.weight + self.bias


class DynamicErf(nn.Module):
    """It has a shift and a bias."""

    def __init__(self, normalized_shape, alpha_init_value=0.5, shift_init_value=0.0):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1) * alpha_init_value)
        self.shift = nn.Parameter(torch.ones(1) * shift_init_value)
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))

    def forward(self, x):
        return torch.erf(self.alpha * x + self.shift) * self.weight + self.bias


class TanhWithNumbers(nn.Module):
    """It has attributes that are numbers, and not its weight."""

    def __init__(self, dim, alpha=0.5):
        super().__init__()
        self.scale = dim**-0.5
        self.w = dim
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return self.weight * torch.tanh(self.alpha * x) + self.bias


class DeepNorm(nn.Module):
    def __init__(self, d_model, alpha=1.0, eps=1e-5):
        super().__init__()
        self.alpha = alpha
        self.layer_norm = nn.LayerNorm(d_model, eps=eps)

    def forward(self, x, branch):
        return self.layer_norm(x * self.alpha + branch)


class TanhThenAffine(nn.Module):
    def __init__(self, dim, alpha=0.5):
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.affine = Affine(dim)

    def forward(self, x):
        return self.affine(torch.tanh(self.alpha * x))


class Threshold(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.tau = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return torch.maximum(x, shaped(self.tau, x))


class FilterResponse(nn.Module):
    def __init__(self, num_features, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.threshold = Threshold(num_features)

    def forward(self, x):
        square = x.square().mean(tuple(range(2, x.dim())), keepdim=True)
        return self.threshold(shaped(self.weight, x) * x * torch.rsqrt(square + self.eps) + shaped(self.bias, x))


class GhostBatchNorm(nn.Module):
    """Its child has running statistics, which the kind has not."""

    def __init__(self, num_features, virtual_batch_size=128, eps=1e-5):
        super().__init__()
        self.virtual_batch_size = virtual_batch_size
        self.bn = nn.BatchNorm1d(num_features, eps=eps)

    def forward(self, x):
        return torch.cat([self.bn(part) for part in x.split(self.virtual_batch_size)])


class SwitchNorm(nn.Module):
    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.mix = nn.ParameterDict({name: nn.Parameter(torch.ones(3)) for name in ("mean_weight", "var_weight")})
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, x):
        positions = tuple(range(2, x.dim()))
        some = [
            torch.var_mean(x, axes, correction=0, keepdim=True)
            for axes in (positions, (1, *positions), (0, *positions))
        ]
        shares, others = self.mix["mean_weight"].softmax(0), self.mix["var_weight"].softmax(0)
        mean = sum(share * m for share, (_, m) in zip(shares, some))
        var = sum(share * v for share, (v, _) in zip(others, some))
        return (x - mean) * torch.rsqrt(var + self.eps) * shaped(self.weight, x) + shaped(self.bias, x)


class TanhOfA(nn.Module):
    """Its only number is alpha, whatever its name."""

    def __init__(self, dim, init_alpha=0.5):
        super().__init__()
        self.a = nn.Parameter(torch.full((1,), init_alpha))
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return self.gamma * torch.tanh(self.a * x) + self.beta


class ErfWithBeta(nn.Module):
    """The shift is called s."""

    def __init__(self, dim):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), 0.5))
        self.s = nn.Parameter(torch.zeros(1))
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return self.gamma * torch.erf(self.alpha * x + self.s) + self.beta


class BatchRenorm(nn.Module):
    """Its statistics are called moving ones."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, r_max=3.0, d_max=5.0):
        super().__init__()
        self.eps, self.momentum, self.r_max, self.d_max = eps, momentum, r_max, d_max
        self.register_buffer("moving_mean", torch.zeros(num_features))
        self.register_buffer("moving_std", torch.ones(num_features))
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))

    def forward(self, x):
        var, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
        std = (var + self.eps).sqrt()
        with torch.no_grad():
            r = (std / self.moving_std).clamp(1 / self.r_max, self.r_max)
            d = ((mean - self.moving_mean) / self.moving_std).clamp(-self.d_max, self.d_max)
            self.moving_mean.lerp_(mean, self.momentum)
            self.moving_std.lerp_(std, self.momentum)
        y = (x - shaped(mean, x)) / shaped(std, x) * shaped(r, x) + shaped(d, x)
        return y * shaped(self.gamma, x) + shaped(self.beta, x)


class SwitchNormOfAAndB(nn.Module):
    """Which of its two vectors of three numbers is which, no name tells."""

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.a = nn.Parameter(torch.ones(3))
        self.b = nn.Parameter(torch.ones(3))
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, x):
        return x * shaped(self.weight, x) + shaped(self.bias, x)
