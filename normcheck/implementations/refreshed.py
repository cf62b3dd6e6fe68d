"""Layers in coordinates that are refreshed between steps of gradient descent, which torch does not ship.

Each is made from torch.nn.Linear layers and computes what they compute. Its method `refresh` is called from time to
time with a batch of its inputs: the function stays the same, and steps of torch.optim.SGD on its parameters change.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import Linear, Module, Parameter
from torch.nn.functional import linear as affine

Tensor = torch.Tensor


def _taken(layer: Linear) -> tuple[Parameter, Parameter]:
    """Copies of weight and bias."""
    bias = torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias
    return Parameter(layer.weight.detach().clone()), Parameter(bias.detach().clone())


class MeanNormalizedLinear(Module):
    """y = W (x - m) + d: Wiesler, Richard, Schlueter, Ney 2014."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self.weight, self.bias = _taken(linear)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros_like(self.weight[0]))

    def forward(self, x: Tensor) -> Tensor:
        return affine(x - self.mean, self.weight, self.bias)

    @torch.no_grad()
    def refresh(self, x: Tensor) -> None:
        """Center inputs by the mean of x, (cases, inputs)."""
        mean = x.mean(dim=0)
        self.bias.add_(self.weight @ (mean - self.mean))
        self.mean.copy_(mean)


class NaturalLinear(Module):
    """y = V U (x - m) + d, U (x - m) white: Desjardins, Simonyan, Pascanu, Kavukcuoglu 2015."""

    def __init__(self, linear: Linear, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = _taken(linear)
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros_like(self.weight[0]))
        self.register_buffer("whitening", torch.eye(len(self.mean), dtype=self.mean.dtype, device=self.mean.device))

    def forward(self, x: Tensor) -> Tensor:
        return affine(affine(x - self.mean, self.whitening), self.weight, self.bias)

    @torch.no_grad()
    def refresh(self, x: Tensor) -> None:
        """Center and whiten inputs by mean and covariance of x, (cases, inputs)."""
        mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        roots = (values + self.eps).sqrt()
        plain = self.weight @ self.whitening
        self.bias.add_(plain @ (mean - self.mean))
        self.weight.copy_(plain @ (vectors * roots) @ vectors.T)
        self.whitening.copy_((vectors / roots) @ vectors.T)
        self.mean.copy_(mean)


class LinearTransformations(Module):
    """y = A f(B x + b) + C x + c, f and its slope zero on average: Raiko, Valpola, LeCun 2012."""

    def __init__(self, inner: Linear, outer: Linear, shortcut: Linear) -> None:
        super().__init__()
        self.inner, self.inner_bias = _taken(inner)
        self.outer, bias = _taken(outer)
        self.shortcut, self.bias = _taken(shortcut)
        with torch.no_grad():
            self.bias.add_(bias)
        self.slope: Tensor
        self.shift: Tensor
        self.register_buffer("slope", torch.zeros_like(self.inner_bias))
        self.register_buffer("shift", torch.zeros_like(self.inner_bias))

    def forward(self, x: Tensor) -> Tensor:
        a = affine(x, self.inner, self.inner_bias)
        bent = torch.tanh(a) + self.slope * a + self.shift
        out: Tensor = affine(bent, self.outer) + affine(x, self.shortcut, self.bias)
        return out

    @torch.no_grad()
    def refresh(self, x: Tensor) -> None:
        """Choose alpha (slope) and beta (shift) on x, (cases, inputs); the shortcut changes to keep the function."""
        a = affine(x, self.inner, self.inner_bias)
        slope = -(1.0 - torch.tanh(a).square()).mean(dim=0)
        shift = -(torch.tanh(a) + slope * a).mean(dim=0)
        more = slope - self.slope
        self.shortcut.sub_((self.outer * more) @ self.inner)
        self.bias.sub_(self.outer @ (more * self.inner_bias + shift - self.shift))
        self.slope.copy_(slope)
        self.shift.copy_(shift)


def _smoothed_inverse(rows: Tensor, alpha: float) -> Tensor:
    scatter = rows.T @ rows / len(rows)
    share = alpha * scatter.trace() / len(scatter)
    eye = torch.eye(len(scatter), dtype=rows.dtype, device=rows.device)
    out: Tensor = torch.linalg.inv(scatter + share * eye)
    return out


def _preconditioned(rows: Tensor, inverse: Tensor) -> Tensor:
    """Rows times the inverse, scaled to the length that they had in all."""
    turned = rows @ inverse
    length = turned.norm()
    kept: Tensor = turned * (rows.norm() / length) if length > 0 else turned
    return kept


class _NaturalAffine(torch.autograd.Function):
    """x W^T + b; the gradients of W and b are the product of preconditioned factors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, inner, outer)
        return affine(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inner, outer = ctx.saved_tensors
        ones = torch.ones_like(x[:, :1])
        moved = _preconditioned(gradients[0], outer).T @ _preconditioned(torch.cat([x, ones], dim=1), inner)
        return gradients[0] @ weight, moved[:, :-1], moved[:, -1], None, None


class NaturalGradientLinear(Module):
    """y = W x + b with natural gradients: Povey, Zhang, Khudanpur 2014, its Fisher factors in full."""

    def __init__(self, linear: Linear, alpha: float = 4.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.weight, self.bias = _taken(linear)
        self.inner: Tensor
        self.outer: Tensor
        outputs, inputs = self.weight.shape
        for name, size in (("inner", inputs + 1), ("outer", outputs)):
            self.register_buffer(name, torch.eye(size, dtype=self.weight.dtype, device=self.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = _NaturalAffine.apply(x, self.weight, self.bias, self.inner, self.outer)
        return out

    @torch.no_grad()
    def refresh(self, x: Tensor, dy: Tensor) -> None:
        """Estimate both factors from inputs x (cases, inputs) and the loss's derivatives by outputs dy."""
        self.inner.copy_(_smoothed_inverse(torch.cat([x, torch.ones_like(x[:, :1])], dim=1), self.alpha))
        self.outer.copy_(_smoothed_inverse(dy, self.alpha))
