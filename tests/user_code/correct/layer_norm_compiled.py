"""Layer norm as a scripted function and as a custom operator with its own autograd formula."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor


@torch.jit.script
def scripted(
    input: Tensor,
    normalized_shape: List[int],
    weight: Optional[Tensor] = None,
    bias: Optional[Tensor] = None,
    eps: float = 1e-5,
) -> Tensor:
    h = input
    if input.dtype != torch.float64:
        h = input.to(torch.float32)
    dims: List[int] = []
    for i in range(len(normalized_shape)):
        dims.append(-1 - i)
    mean = h.mean(dims, keepdim=True)
    centered = h - mean
    y = centered * torch.rsqrt((centered * centered).mean(dims, keepdim=True) + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.to(input.dtype)


def through_script(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Plain front of the scripted function: also takes an int as the shape."""
    shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
    return scripted(x, shape, weight, bias, eps)


@torch.library.custom_op("user_code::layer_norm", mutates_args=())
def _forward(
    x: Tensor, weight: Optional[Tensor], bias: Optional[Tensor], rank: int, eps: float
) -> Tuple[Tensor, Tensor, Tensor]:
    h = x.to(torch.promote_types(x.dtype, torch.float32))
    var, mean = torch.var_mean(h, list(range(-rank, 0)), correction=0, keepdim=True)
    rstd = torch.rsqrt(var + eps)
    y = (h - mean) * rstd
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.to(x.dtype, copy=True), mean, rstd


@_forward.register_fake
def _(x, weight, bias, rank, eps):
    wide = torch.promote_types(x.dtype, torch.float32)
    kept = x.shape[: x.dim() - rank] + (1,) * rank
    return torch.empty_like(x), x.new_empty(kept, dtype=wide), x.new_empty(kept, dtype=wide)


def _keep(ctx, inputs, output):
    x, weight, bias, rank, _ = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, weight, bias, mean, rstd)
    ctx.rank = rank


def _backward(ctx, dy, dmean, drstd):
    x, weight, bias, mean, rstd = ctx.saved_tensors
    dims = list(range(-ctx.rank, 0))
    cases = list(range(x.dim() - ctx.rank))
    xhat = (x.to(mean.dtype) - mean) * rstd
    dy = dy.to(mean.dtype)
    g = dy if weight is None else dy * weight
    dx = rstd * (g - g.mean(dims, keepdim=True) - xhat * (g * xhat).mean(dims, keepdim=True))
    dweight = dbias = None
    if weight is not None:
        dweight = ((dy * xhat).sum(cases) if cases else dy * xhat).to(weight.dtype)
    if bias is not None:
        dbias = (dy.sum(cases) if cases else dy).to(bias.dtype)
    return dx.to(x.dtype), dweight, dbias, None, None


_forward.register_autograd(_backward, setup_context=_keep)


def custom_operator(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """torch.library.custom_op with a registered backward."""
    rank = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return _forward(x, weight, bias, rank, eps)[0]
