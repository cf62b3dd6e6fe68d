"""Layer norm as a Triton kernel, forward and backward, in the usual form for a GPU.

Without a GPU it runs in Triton's interpreter (pip install triton):

    TRITON_INTERPRET=1 pytest --norm layer_norm=examples/triton_layer_norm.py:layer_norm --norm-contract formats=float32
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def _forward(
    x, weight, bias, y, mean, scale, n, eps, WIDTH: tl.constexpr, WEIGHTED: tl.constexpr, BIASED: tl.constexpr
):
    row, columns = tl.program_id(0), tl.arange(0, WIDTH)
    inside = columns < n
    values = tl.load(x + row * n + columns, mask=inside, other=0.0)
    wide = values.to(mean.dtype.element_ty)
    average = tl.sum(wide, 0) / n
    centered = tl.where(inside, wide - average, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centered * centered, 0) / n + eps)
    out = centered * inverse
    if WEIGHTED:
        out *= tl.load(weight + columns, mask=inside, other=0.0).to(out.dtype)
    if BIASED:
        out += tl.load(bias + columns, mask=inside, other=0.0).to(out.dtype)
    tl.store(y + row * n + columns, out.to(values.dtype), mask=inside)
    tl.store(mean + row, average)
    tl.store(scale + row, inverse)


@triton.jit
def _backward(dy, x, weight, mean, scale, dx, n, WIDTH: tl.constexpr, WEIGHTED: tl.constexpr):
    row, columns = tl.program_id(0), tl.arange(0, WIDTH)
    inside = columns < n
    values = tl.load(x + row * n + columns, mask=inside, other=0.0)
    average, inverse = tl.load(mean + row), tl.load(scale + row)
    normalized = tl.where(inside, (values.to(average.dtype) - average) * inverse, 0.0)
    cotangent = tl.load(dy + row * n + columns, mask=inside, other=0.0).to(average.dtype)
    if WEIGHTED:
        cotangent *= tl.load(weight + columns, mask=inside, other=0.0).to(average.dtype)
    projection = tl.sum(cotangent * normalized, 0) / n
    out = (cotangent - tl.sum(cotangent, 0) / n - normalized * projection) * inverse
    tl.store(dx + row * n + columns, out.to(values.dtype), mask=inside)


class LayerNorm(torch.autograd.Function):
    """Saves the rows, the weight, and mean and inverse scale of each row for the backward."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: Any, bias: Any, n: int, eps: float) -> torch.Tensor:
        rows = x.contiguous().view(-1, n)
        wide = torch.promote_types(x.dtype, torch.float32)
        mean, scale = (torch.empty(len(rows), dtype=wide, device=x.device) for _ in range(2))
        y = torch.empty_like(rows)
        size = triton.next_power_of_2(max(n, 1))
        if len(rows):
            _forward[(len(rows),)](
                rows, rows if weight is None else weight, rows if bias is None else bias, y, mean, scale, n, eps,
                WIDTH=size, WEIGHTED=weight is not None, BIASED=bias is not None,
            )  # fmt: skip
        ctx.save_for_backward(rows, weight, mean, scale)
        ctx.n, ctx.size, ctx.shape, ctx.biased = n, size, x.shape, bias is not None
        return y.view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        rows, weight, mean, scale = ctx.saved_tensors
        dy = grads[0].contiguous().view(-1, ctx.n)
        dx = torch.empty_like(rows)
        if len(rows):
            _backward[(len(rows),)](
                dy, rows, rows if weight is None else weight, mean, scale, dx, ctx.n,
                WIDTH=ctx.size, WEIGHTED=weight is not None,
            )  # fmt: skip
        normalized = (rows.to(mean.dtype) - mean[:, None]) * scale[:, None]
        wide = dy.to(mean.dtype)
        dweight = None if weight is None else (wide * normalized).sum(0).to(weight.dtype).view(weight.shape)
        dbias = wide.sum(0).to(dy.dtype).view(grads[0].shape[grads[0].ndim - 1 :]) if ctx.biased else None
        return dx.view(ctx.shape), dweight, dbias, None, None


def layer_norm(x: torch.Tensor, hidden_size: int, weight: Any = None, bias: Any = None, eps: float = 1e-5):
    """Normalize over the last axis, of size `hidden_size`."""
    return LayerNorm.apply(x, weight, bias, hidden_size, eps)
