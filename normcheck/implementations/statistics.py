"""Readable implementations, in torch, of normalizers by statistics of earlier calls, of another batch, of a window."""

from __future__ import annotations

from typing import Any

import torch

from normcheck.implementations.defined import _batch, _spread


def power_norm_v(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """PN-V: division by the batch's quadratic mean (Shen et al. 2020); x: (cases, *positions, units)."""
    square = x.square().flatten(0, -2).mean(0)
    return x * torch.rsqrt(square + eps) * weight + bias


class PowerNorm(torch.nn.Module):
    """PN in training, after the warm-up (Shen et al. 2020); x: (cases, *positions, units).

    nu, by which the backward is corrected, is made of the cotangents of the calls before.
    """

    running_phi: torch.Tensor
    ema_gz: torch.Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, alpha_fwd: float = 0.9, alpha_bkw: float = 0.9) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(num_features))
        self.bias = torch.nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_phi", torch.ones(num_features))
        self.register_buffer("ema_gz", torch.zeros(num_features))
        self.eps, self.alpha_fwd, self.alpha_bkw = eps, alpha_fwd, alpha_bkw

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = _PowerFunction.apply(x, self.running_phi.clone(), self.ema_gz, self.eps, self.alpha_bkw)
        with torch.no_grad():
            square = x.square().flatten(0, -2).mean(0)
            self.running_phi.lerp_(square, 1 - self.alpha_fwd)
        return z * self.weight + self.bias


class _PowerFunction(torch.autograd.Function):
    """x / psi, whose backward is that of Algorithm 2 of the paper: (g - nu z) / psi, and nu is updated."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, phi: torch.Tensor, nu: torch.Tensor, eps: float, alpha_bkw: float
    ) -> torch.Tensor:
        root = torch.sqrt(phi + eps)
        z = x / root
        ctx.save_for_backward(z, root)
        ctx.nu, ctx.alpha_bkw = nu, alpha_bkw
        return z

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        z, root = ctx.saved_tensors
        nu, share = ctx.nu, 1 - ctx.alpha_bkw
        dx = (g - nu * z) / root
        gamma, of_g = z.square().flatten(0, -2).mean(0), (g * z).flatten(0, -2).mean(0)
        nu.copy_(nu * (1 - share * gamma) + share * of_g)
        return dx, None, None, None, None


class VirtualBatchNorm(torch.nn.Module):
    """Batch norm by a reference batch and the case itself (Salimans et al. 2016), of maps (cases, channels, *space)."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.gamma = torch.nn.Parameter(torch.ones(num_features))
        self.beta = torch.nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def forward(self, x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        old_var, old_mean = torch.var_mean(reference, _batch(reference), correction=0, keepdim=True)
        of_cases = torch.var_mean(x.reshape(*x.shape[:2], -1), 2, correction=0)
        new_var, new_mean = (one.reshape(*one.shape, *[1] * (x.ndim - 2)) for one in of_cases)
        new_coeff = 1.0 / (reference.shape[0] + 1.0)
        mean = torch.lerp(old_mean, new_mean, new_coeff)
        var = torch.lerp(old_var + (old_mean - mean).square(), new_var + (new_mean - mean).square(), new_coeff)
        return (x - mean) / torch.sqrt(var + self.eps) * _spread(self.gamma, x) + _spread(self.beta, x)


class StreamingBatchNorm(torch.nn.Module):
    """Batch norm by a mix of long-term statistics and those of the batch, in training (Liao et al. 2016)."""

    running_mean: torch.Tensor
    running_std: torch.Tensor

    def __init__(
        self, num_features: int, alpha: float = 0.7, kappa: float = 0.7, eps: float = 1e-5, full_gradient: bool = True
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(num_features))
        self.bias = torch.nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_std", torch.ones(num_features))
        self.alpha, self.kappa, self.eps, self.full_gradient = alpha, kappa, eps, full_gradient

    def _streamed(self, now: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
        """The mix, whose gradient goes to the statistic of the batch in full or by its share; the past is updated."""
        mix = torch.lerp(now, past, self.alpha)
        with torch.no_grad():
            past.lerp_(now, 1 - self.kappa)
        return now + (mix - now).detach() if self.full_gradient else mix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        var, mean = torch.var_mean(x, _batch(x), correction=0)
        mean = self._streamed(mean, self.running_mean)
        std = self._streamed(torch.sqrt(var + self.eps), self.running_std)
        y = (x - _spread(mean, x)) / _spread(std, x)
        return y * _spread(self.weight, x) + _spread(self.bias, x)


class LocalContextNorm(torch.nn.Module):
    """Statistics of a group of channels in a window around each position (Ortiz et al. 2020), of maps.

    A position at the border has those of the nearest whole window; a window that is larger than the map is the map.
    """

    def __init__(
        self, num_features: int, channels_per_group: int = 2, window_size: tuple[int, int] = (227, 227),
        eps: float = 1e-5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1, num_features, 1, 1))
        self.bias = torch.nn.Parameter(torch.zeros(1, num_features, 1, 1))
        self.channels_per_group, self.window_size, self.eps = channels_per_group, window_size, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups = x.reshape(x.shape[0], -1, self.channels_per_group, *x.shape[2:])
        height, width = (min(size, n) for size, n in zip(self.window_size, x.shape[2:], strict=True))
        windows = groups.unfold(3, height, 1).unfold(4, width, 1)
        var, mean = torch.var_mean(windows, (2, 5, 6), correction=0)
        border = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)
        mean, var = (torch.nn.functional.pad(one, border, mode="replicate") for one in (mean, var))
        y = (groups - mean[:, :, None]) * torch.rsqrt(var + self.eps)[:, :, None]
        return y.reshape(x.shape) * self.weight + self.bias
