"""Readable implementations, in torch, of normalizers that torch does not ship.

Inputs are (cases, channels, *space), unless a function says otherwise; parameters have one number for each channel.
"""

from __future__ import annotations

import math

import torch


def _space(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _batch(x: torch.Tensor) -> tuple[int, ...]:
    return (0, *_space(x))


def _spread(parameter: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One number for each channel, with axes of length 1."""
    return parameter.reshape(-1, *[1] * (x.ndim - 2))


def _standard(x: torch.Tensor, dims: tuple[int, ...], eps: float) -> torch.Tensor:
    var, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(var + eps)


def l2_norm(x: torch.Tensor, eps: float = 1e-12) -> torch.Tensor:
    """Unit length over the last axis."""
    return torch.nn.functional.normalize(x, dim=-1, eps=eps)


class ScaleNorm(torch.nn.Module):
    """Unit length times one number (Nguyen, Salazar 2019)."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.g = torch.nn.Parameter(torch.tensor(dim**0.5))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size: torch.Tensor = x.norm(dim=-1, keepdim=True).clamp(min=self.eps)
        return self.g / size * x


def crms_norm(x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    """RMS norm of a vector of mean zero whose last entry is not kept (Jiang et al. 2023)."""
    squares = x.square().sum(-1, keepdim=True) + x.sum(-1, keepdim=True).square()
    return x * torch.rsqrt(squares / (x.shape[-1] + 1) + eps)


class DynamicTanh(torch.nn.Module):
    """weight tanh(alpha x) + bias over the last axis (Zhu et al. 2025)."""

    def __init__(self, dim: int, start: float = 0.5) -> None:
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(start))
        self.weight = torch.nn.Parameter(torch.ones(dim))
        self.bias = torch.nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.alpha * x) * self.weight + self.bias


def dynamic_erf(
    x: torch.Tensor, alpha: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """weight erf(alpha x + shift) + bias over the last axis (Chen et al. 2025)."""
    return torch.erf(alpha * x + shift) * weight + bias


def deep_norm(
    x: torch.Tensor, branch: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, alpha: float = 2.0,
    eps: float = 1e-5,
) -> torch.Tensor:  # fmt: skip
    """Layer norm of alpha x + branch (Wang et al. 2022)."""
    return torch.nn.functional.layer_norm(alpha * x + branch, x.shape[-1:], weight, bias, eps)


class CosineLinear(torch.nn.Module):
    """The cosine of weights and inputs (Luo et al. 2018)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(out_features, in_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize
        return unit(x, dim=-1) @ unit(self.weight, dim=-1).T


def centered_cosine_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The correlation of weights and inputs (Luo et al. 2018)."""
    x = x - x.mean(-1, keepdim=True)
    weight = weight - weight.mean(-1, keepdim=True)
    sizes: torch.Tensor = x.norm(dim=-1, keepdim=True) * weight.norm(dim=-1)
    return (x @ weight.T) / sizes


def pixel_norm(x: torch.Tensor, eps: float = 1e-8) -> torch.Tensor:
    """Division by the root mean square over channels (Karras et al. 2018)."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps)


def positional_norm(x: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """Statistics over the channels of a position (Li et al. 2019)."""
    return _standard(x, (1,), eps)


class GlobalResponseNorm(torch.nn.Module):
    """GRN of ConvNeXt V2 (Woo et al. 2023), of an input (cases, *space, channels)."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(dim))
        self.bias = torch.nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size: torch.Tensor = torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim - 1)), keepdim=True)
        share = size / (size.mean(-1, keepdim=True) + self.eps)
        return self.weight * (x * share) + self.bias + x


class FilterResponseNorm(torch.nn.Module):
    """FRN with its thresholded linear unit (Singh, Krishnan 2020)."""

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(num_channels))
        self.bias = torch.nn.Parameter(torch.zeros(num_channels))
        self.tau = torch.nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * torch.rsqrt(x.square().mean(_space(x), keepdim=True) + self.eps)
        return torch.maximum(_spread(self.weight, x) * y + _spread(self.bias, x), _spread(self.tau, x))


def evonorm_s0(
    x: torch.Tensor, v: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int = 2, eps: float = 1e-5
) -> torch.Tensor:
    """EvoNorm-S0 (Liu et al. 2020)."""
    parted = x.reshape(x.shape[0], groups, -1)
    root = torch.sqrt(parted.var(-1, correction=0, keepdim=True) + eps).expand_as(parted).reshape(x.shape)
    return x * torch.sigmoid(_spread(v, x) * x) / root * _spread(weight, x) + _spread(bias, x)


def evonorm_b0(
    x: torch.Tensor, v: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5
) -> torch.Tensor:
    """EvoNorm-B0 in training (Liu et al. 2020)."""
    of_batch = torch.sqrt(x.var(_batch(x), correction=0, keepdim=True) + eps)
    of_case = torch.sqrt(x.var(_space(x), correction=0, keepdim=True) + eps)
    return x / torch.maximum(of_batch, _spread(v, x) * x + of_case) * _spread(weight, x) + _spread(bias, x)


def adaptive_instance_norm(x: torch.Tensor, style: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """The statistics of a style for those of x (Huang, Belongie 2017)."""
    var, mean = torch.var_mean(style, _space(style), correction=0, keepdim=True)
    return _standard(x, _space(x), eps) * torch.sqrt(var + eps) + mean


def spatially_adaptive_norm(
    x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float = 1e-5
) -> torch.Tensor:
    """SPADE: batch norm with maps for weight and bias (Park et al. 2019)."""
    return torch.nn.functional.batch_norm(x, None, None, training=True, eps=eps) * (1 + gamma) + beta


def switchable_norm(
    x: torch.Tensor, mean_weight: torch.Tensor, var_weight: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
    eps: float = 1e-5,
) -> torch.Tensor:  # fmt: skip
    """Statistics of instance, layer and batch, mixed by learned weights (Luo et al. 2019)."""
    scopes = (_space(x), tuple(range(1, x.ndim)), _batch(x))
    statistics = [torch.var_mean(x, dims, correction=0, keepdim=True) for dims in scopes]
    m, v = mean_weight.softmax(0), var_weight.softmax(0)
    mean = m[0] * statistics[0][1] + m[1] * statistics[1][1] + m[2] * statistics[2][1]
    var = v[0] * statistics[0][0] + v[1] * statistics[1][0] + v[2] * statistics[2][0]
    return (x - mean) * torch.rsqrt(var + eps) * _spread(weight, x) + _spread(bias, x)


class BatchRenorm(torch.nn.Module):
    """Batch renormalization in training (Ioffe 2017)."""

    running_mean: torch.Tensor
    running_std: torch.Tensor

    def __init__(
        self, num_features: int, momentum: float = 0.01, eps: float = 1e-3, r_max: float = 3.0, d_max: float = 5.0
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(num_features))
        self.bias = torch.nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_std", torch.ones(num_features))
        self.momentum, self.eps, self.r_max, self.d_max = momentum, eps, r_max, d_max

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        var, mean = torch.var_mean(x, _batch(x), correction=0)
        std = torch.sqrt(var + self.eps)
        with torch.no_grad():
            r = (std / self.running_std).clamp(1 / self.r_max, self.r_max)
            d = ((mean - self.running_mean) / self.running_std).clamp(-self.d_max, self.d_max)
        y = (x - _spread(mean, x)) * _spread(r / std, x) + _spread(d, x)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_std.lerp_(std, self.momentum)
        return y * _spread(self.weight, x) + _spread(self.bias, x)


def l1_batch_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """Batch norm by mean sizes, in training (Hoffer et al. 2018)."""
    c = x - x.mean(_batch(x), keepdim=True)
    size = math.sqrt(math.pi / 2) * c.abs().mean(_batch(x), keepdim=True)
    return c / (size + eps) * _spread(weight, x) + _spread(bias, x)


def ghost_batch_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, virtual_batch_size: int = 2, eps: float = 1e-5
) -> torch.Tensor:
    """Batch norm of consecutive virtual batches, in training (Hoffer et al. 2017)."""
    parts = x.split(virtual_batch_size)
    norm = torch.nn.functional.batch_norm
    return torch.cat([norm(part, None, None, weight, bias, training=True, eps=eps) for part in parts])


def mean_subtraction_norm(x: torch.Tensor) -> torch.Tensor:
    """Nodes minus their mean (Yang et al. 2020); x: (nodes, features)."""
    return x - x.mean(0)


class GraphNorm(torch.nn.Module):
    """Nodes minus a learned share of their mean, normalized (Cai et al. 2021); x: (nodes, features)."""

    def __init__(self, in_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(in_channels))
        self.bias = torch.nn.Parameter(torch.zeros(in_channels))
        self.mean_scale = torch.nn.Parameter(torch.ones(in_channels))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = x - self.mean_scale * x.mean(0)
        return self.weight * c / torch.sqrt(c.square().mean(0) + self.eps) + self.bias


def pair_norm(x: torch.Tensor, scale: float = 1.0, eps: float = 1e-5) -> torch.Tensor:
    """Nodes with a constant mean squared distance (Zhao, Akoglu 2020); x: (nodes, features)."""
    c = x - x.mean(0)
    return scale * c * torch.rsqrt(c.square().sum(-1).mean() + eps)


def weight_standardization(weight: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """A weight (units, *inputs) with mean 0 and variance 1 for each unit (Qiao et al. 2019)."""
    return _standard(weight.flatten(1), (1,), eps).reshape(weight.shape)


def centered_weight_norm(v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """A weight (units, *inputs) with mean 0 and length g for each unit (Huang et al. 2017)."""
    c = v.flatten(1) - v.flatten(1).mean(1, keepdim=True)
    size: torch.Tensor = c.norm(dim=1, keepdim=True)
    return (g[:, None] * c / size).reshape(v.shape)


def spectral_norm(weight: torch.Tensor, u: torch.Tensor, eps: float = 1e-12) -> torch.Tensor:
    """A weight (units, inputs) divided by its largest singular value, by one step from u, which it replaces."""
    with torch.no_grad():
        right = torch.nn.functional.normalize(weight.T @ u, dim=0, eps=eps)
        left = torch.nn.functional.normalize(weight @ right, dim=0, eps=eps)
        u.copy_(left)
    return weight / (left @ weight @ right)


def message_norm(x: torch.Tensor, node: torch.Tensor, scale: torch.Tensor, eps: float = 1e-12) -> torch.Tensor:
    """The direction of a message with the length of a node's features (Li et al. 2020)."""
    size: torch.Tensor = node.norm(dim=-1, keepdim=True)
    return scale * size * torch.nn.functional.normalize(x, dim=-1, eps=eps)


def normalized_residual(
    x: torch.Tensor, residual: torch.Tensor, alpha: torch.Tensor, eps: float = 1e-12
) -> torch.Tensor:
    """A step on the unit sphere toward the output of a block (Loshchilov et al. 2024)."""
    unit = torch.nn.functional.normalize
    return unit(torch.lerp(residual, unit(x, dim=-1, eps=eps), alpha), dim=-1, eps=eps)


def dora(weight: torch.Tensor, update: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """A frozen weight and its update, whose rows get other lengths (Liu et al. 2024)."""
    whole = weight + update
    size: torch.Tensor = whole.detach().flatten(1).norm(dim=1)
    return (magnitude / size).view(-1, *[1] * (whole.ndim - 1)) * whole
