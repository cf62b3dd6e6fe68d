"""RMS and layer norm of inputs that are divided among processes: tensor-parallel (the width), sequence-parallel (rows).

Both run on any backend of torch.distributed. Statistics and sums are in single precision or wider.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes of a group, which all of them get; its gradient is summed too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        total = g.clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


class CopiedToProcesses(torch.autograd.Function):
    """A parameter that all processes of a group have: as it is, and its gradient summed over them."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        total = g.to(torch.promote_types(g.dtype, torch.float32), copy=True)
        dist.all_reduce(total, group=ctx.group)
        return total.to(g.dtype), None


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _affine(xhat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = xhat if weight is None else xhat * weight
    return y if bias is None else y + bias


def tensor_parallel_layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    process_group: Any = None,
    *,
    centered: bool = True,
) -> Tensor:
    """Layer norm over the widths of all processes; x: (*rows, width of this process), weight and bias its part."""
    h = _wide(x)
    width = h.new_tensor(float(h.shape[-1]))
    dist.all_reduce(width, group=process_group)
    if centered:
        h = h - SumOverProcesses.apply(h.sum(-1, keepdim=True), process_group) / width
    squares = SumOverProcesses.apply(h.square().sum(-1, keepdim=True), process_group)
    return _affine(h * torch.rsqrt(squares / width + eps), weight, bias).to(x.dtype)


def tensor_parallel_rms_norm(
    x: Tensor, weight: Tensor | None = None, eps: float = 1e-6, process_group: Any = None
) -> Tensor:
    """RMS norm over the widths of all processes; x: (*rows, width of this process), weight its part."""
    return tensor_parallel_layer_norm(x, weight, None, eps, process_group, centered=False)


def sequence_parallel_layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    process_group: Any = None,
    *,
    centered: bool = True,
) -> Tensor:
    """Layer norm of the rows of this process; x: (rows, ..., width). Gradients of parameters are summed over processes.

    The sums are in the order of the parameters, the same in every process: bias first, because the backward pass
    reaches it first.
    """
    h = _wide(x)
    if centered:
        h = h - h.mean(-1, keepdim=True)
    xhat = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)
    weight, bias = (None if p is None else CopiedToProcesses.apply(p, process_group) for p in (weight, bias))
    return _affine(xhat, weight, bias).to(x.dtype)


def sequence_parallel_rms_norm(
    x: Tensor, weight: Tensor | None = None, eps: float = 1e-6, process_group: Any = None
) -> Tensor:
    """RMS norm of the rows of this process; x: (rows, ..., width). The weight's gradient is summed over processes."""
    return sequence_parallel_layer_norm(x, weight, None, eps, process_group, centered=False)
