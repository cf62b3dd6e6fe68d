"""Whitening layers that torch does not ship: decorrelated batch norm (ZCA), Cholesky whitening, IterNorm.

Each is `f(input, running_mean, running_cov, weight, bias, training, momentum, eps, groups)` on (cases, channels,
*space); running_cov is (groups, channels / groups, channels / groups), without eps, its divisor the count of members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Tensor = torch.Tensor


class _InverseRoot(torch.autograd.Function):
    """S^(-1/2) with a derivative by divided differences: torch's own of eigh divides by differences of eigenvalues."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(covariance)
        ctx.save_for_backward(values.sqrt(), vectors)
        out: Tensor = (vectors / values.sqrt().unsqueeze(-2)) @ vectors.mT
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        roots, vectors = ctx.saved_tensors
        one, other = roots.unsqueeze(-1), roots.unsqueeze(-2)
        inner = vectors.mT @ (gradients[0] + gradients[0].mT) @ vectors / 2
        out: Tensor = vectors @ (-inner / (one * other * (one + other))) @ vectors.mT
        return out


def _inverse_root(covariance: Tensor) -> Tensor:
    out: Tensor = _InverseRoot.apply(covariance)
    return out


def _inverse_factor(covariance: Tensor) -> Tensor:
    factor = torch.linalg.cholesky(covariance)
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand_as(factor)
    out: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False)
    return out


def _newton(covariance: Tensor) -> Tensor:
    trace = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    scaled = covariance / trace
    p = torch.eye(scaled.shape[-1], dtype=scaled.dtype, device=scaled.device).expand_as(scaled)
    for _ in range(5):
        p = (3.0 * p - p @ p @ p @ scaled) / 2.0
    return p / trace.sqrt()


def _whiten(
    root: Callable[[Tensor], Tensor], x: Tensor, running: tuple[Tensor | None, Tensor | None],
    affine: tuple[Tensor | None, Tensor | None], training: bool, momentum: float, eps: float, groups: int,
) -> Tensor:  # fmt: skip
    channels = x.shape[1]
    flat = x.movedim(1, 0).reshape(groups, channels // groups, -1)
    mean, covariance = running
    if training or mean is None or covariance is None:
        center = flat.mean(-1, keepdim=True)
        found = (flat - center) @ (flat - center).mT / flat.shape[-1]
        if mean is not None and covariance is not None:
            with torch.no_grad():
                mean.lerp_(center.reshape(-1), momentum)
                covariance.lerp_(found, momentum)
    else:
        center, found = mean.reshape(groups, -1, 1), covariance
    matrix = root(found + eps * torch.eye(found.shape[-1], dtype=x.dtype, device=x.device))
    y = (matrix @ (flat - center)).reshape(channels, x.shape[0], *x.shape[2:]).movedim(0, 1)
    weight, bias = (None if p is None else p.view(1, -1, *[1] * (x.ndim - 2)) for p in affine)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def zca_whitening(
    input: Tensor, running_mean: Tensor | None = None, running_cov: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = True, momentum: float = 0.1, eps: float = 1e-5, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Decorrelated batch norm: Huang, Yang, Lang, Deng 2018."""
    return _whiten(_inverse_root, input, (running_mean, running_cov), (weight, bias), training, momentum, eps, groups)


def cholesky_whitening(
    input: Tensor, running_mean: Tensor | None = None, running_cov: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = True, momentum: float = 0.1, eps: float = 1e-5, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Whitening by the Cholesky factor: Siarohin, Sangineto, Sebe 2019."""
    return _whiten(_inverse_factor, input, (running_mean, running_cov), (weight, bias), training, momentum, eps, groups)


def iter_norm(
    input: Tensor, running_mean: Tensor | None = None, running_cov: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = True, momentum: float = 0.1, eps: float = 1e-5, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Iterative normalization, five steps of Newton: Huang, Zhou, Zhu, Liu, Shao 2019."""
    return _whiten(_newton, input, (running_mean, running_cov), (weight, bias), training, momentum, eps, groups)


class _Module(torch.nn.Module):
    """A layer over one of the functions above."""

    function: Callable[..., Tensor]

    def __init__(
        self, num_features: int, num_groups: int = 1, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        super().__init__()
        size = num_features // num_groups
        self.num_groups, self.eps, self.momentum = num_groups, eps, momentum
        self.weight = torch.nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = torch.nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_cov", torch.eye(size).repeat(num_groups, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(
            input, self.running_mean, self.running_cov, self.weight, self.bias, self.training, self.momentum,
            self.eps, self.num_groups,
        )  # fmt: skip


class ZCAWhitening(_Module):
    """`zca_whitening` as a layer."""

    function = staticmethod(zca_whitening)


class CholeskyWhitening(_Module):
    """`cholesky_whitening` as a layer."""

    function = staticmethod(cholesky_whitening)


class IterNorm(_Module):
    """`iter_norm` as a layer."""

    function = staticmethod(iter_norm)
