"""Functions in many styles."""

import torch
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


@torch.jit.script
def scripted(x: torch.Tensor, normalized_shape: list[int], weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5):
    dims = [-1 - i for i in range(len(normalized_shape))]
    wide = x if x.dtype == torch.float64 else x.to(torch.float32)
    h = wide - wide.mean(dims, keepdim=True)
    y = h * torch.rsqrt((h * h).mean(dims, keepdim=True) + eps) * weight + bias
    return y.to(x.dtype)


@torch.compile(backend="eager", dynamic=True)
def compiled(x, normalized_shape, weight, bias, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(x)
    h = h - h.mean(dims, keepdim=True)
    return (h * torch.rsqrt(h.square().mean(dims, keepdim=True) + eps) * weight + bias).to(x.dtype)


def mapped_rows(x, weight, eps=1e-6):
    """RMS norm of one row, mapped over all."""

    def row(h):
        return h / torch.sqrt(h.square().mean() + eps)

    h = _wide(x)
    return (torch.vmap(row)(h.reshape(-1, x.shape[-1])).reshape(x.shape) * weight).to(x.dtype)


def chunked_rows(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm by chunks of rows, to bound memory."""
    n = torch.Size(normalized_shape).numel()
    w = None if weight is None else weight.reshape(n)
    b = None if bias is None else bias.reshape(n)
    chunks = [F.layer_norm(chunk, (n,), w, b, eps) for chunk in input.reshape(-1, n).split(128)]
    return torch.cat(chunks).reshape(input.shape)


def rms_of_norm(input, normalized_shape, weight=None, eps=1e-6):
    """RMS norm from the Euclidean norm of float64 values."""
    dims = tuple(range(-len(normalized_shape), 0))
    h = input.double()
    n = torch.Size(normalized_shape).numel()
    y = h / torch.sqrt(
        torch.linalg.vecdot(h.flatten(-len(dims)), h.flatten(-len(dims)))[(...,) + (None,) * len(dims)] / n + eps
    )
    return (y if weight is None else y * weight.double()).to(input.dtype)


def group_norm_by_instance(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Group norm as an instance norm of joined channels."""
    if not input.numel():
        return input * 1
    h = _wide(input).reshape(1, input.shape[0] * num_groups, -1)
    if h.shape[-1] > 1:
        h = F.instance_norm(h, eps=eps)
    else:
        h = h - h
    h, view = h.reshape(input.shape), (1, -1) + (1,) * (input.dim() - 2)
    if weight is not None:
        h = h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(input.dtype)


def instance_norm_moments(x, weight=None, bias=None, eps=1e-5):
    """Instance norm without memory."""
    axes, view = tuple(range(2, x.dim())), (1, -1) + (1,) * (x.dim() - 2)
    h = _wide(x)
    h = h - h.mean(axes, keepdim=True)
    h = h * torch.rsqrt(h.square().mean(axes, keepdim=True) + eps)
    if weight is not None:
        h = h * weight.view(view)
    return (h if bias is None else h + bias.view(view)).to(x.dtype)
