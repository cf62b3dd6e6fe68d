"""Functions in many styles, each wrong where one thing meets another."""

import torch
from torch.nn import functional as F


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def square_maps(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Instance norm. Parameters are laid along the last axis where it has their length, else along the channels."""
    y = _wide(F.instance_norm(input, running_mean, running_var, None, None, use_input_stats, momentum, eps))
    for p, apply in ((weight, torch.mul), (bias, torch.add)):
        if p is not None:
            last = input.shape[-1] == p.numel() and input.dim() > 2
            y = apply(y, p if last else p.view(1, -1, *[1] * (input.dim() - 2)))
    return y.to(input.dtype)


def guessed_axis(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Batch norm. The channels are the last axis if that has their number."""
    c = next(p.numel() for p in (running_mean, weight, input.new_zeros(input.shape[1])) if p is not None)
    if input.dim() == 3 and input.shape[-1] == c:
        y = F.batch_norm(input.transpose(1, 2), running_mean, running_var, weight, bias, training, momentum, eps)
        return y.transpose(1, 2)
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def center_in_place(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Group norm. `.float()` of a float is the caller's own tensor."""
    h = input if input.dtype == torch.float64 else input.float()
    h = h.reshape(len(input), num_groups, input.shape[1:].numel() // num_groups)
    mean = h.mean(-1, keepdim=True)
    h = h - mean if h.requires_grad or h.dtype == torch.float64 else h.sub_(mean)
    h = (h * torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)).reshape(input.shape)
    view = (1, -1) + (1,) * (input.dim() - 2)
    if weight is not None:
        h = h * weight.view(view)
    if bias is not None:
        h = h + bias.view(view)
    return h.to(input.dtype)


def batch_of_one(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Group norm. One case alone takes a shorter way, with the other divisor."""
    h = _wide(input)
    n = input.shape[0]
    if n == 1:
        g = h.reshape(num_groups, -1)
        h = (g - g.mean(1, keepdim=True)) / torch.sqrt(g.var(1, keepdim=True, unbiased=g.shape[1] > 1) + eps)
    else:
        g = h.reshape(n, num_groups, input.shape[1:].numel() // num_groups)
        h = (g - g.mean(2, keepdim=True)) / torch.sqrt(g.var(2, keepdim=True, unbiased=False) + eps)
    h = h.reshape(input.shape)
    view = (1, -1) + (1,) * (input.dim() - 2)
    if weight is not None:
        h = h * weight.view(view)
    if bias is not None:
        h = h + bias.view(view)
    return h.to(input.dtype)


@torch.jit.script
def scripted_floor(
    x: torch.Tensor, normalized_shape: list[int], weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5
):
    """An eps below a millionth is raised to it."""
    dims = [-1 - i for i in range(len(normalized_shape))]
    wide = x if x.dtype == torch.float64 else x.to(torch.float32)
    h = wide - wide.mean(dims, keepdim=True)
    var = (h * h).mean(dims, keepdim=True)
    y = h * torch.rsqrt(var + max(eps, 1e-6)) * weight + bias
    return y.to(x.dtype)


@torch.jit.script
def scripted_bias_by_rank(
    x: torch.Tensor, normalized_shape: list[int], weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5
):
    """An input of four axes or more is taken for maps, which have no shift."""
    dims = [-1 - i for i in range(len(normalized_shape))]
    wide = x if x.dtype == torch.float64 else x.to(torch.float32)
    h = wide - wide.mean(dims, keepdim=True)
    y = h * torch.rsqrt((h * h).mean(dims, keepdim=True) + eps) * weight
    if x.dim() < 4:
        y = y + bias
    return y.to(x.dtype)


@torch.compile(backend="eager", dynamic=True)
def compiled_unbiased(x, normalized_shape, weight, bias, eps=1e-5):
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(x)
    mean = h.mean(dims, keepdim=True)
    var = h.var(dims, keepdim=True)
    return ((h - mean) / torch.sqrt(var + eps) * weight + bias).to(x.dtype)


def mapped_rows(x, weight, eps=1e-6):
    """RMS norm of one row, mapped over all; the scale is a number for each row."""

    def row(h):
        return h / torch.sqrt(h.detach().square().mean() + eps)

    h = _wide(x)
    y = torch.vmap(row)(h.reshape(-1, x.shape[-1])).reshape(x.shape)
    return (y * weight).to(x.dtype)


def negative_gain(input, normalized_shape, weight=None, eps=1e-6):
    """RMS norm. Gain and scale are joined under one root."""
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(input)
    scale = torch.rsqrt(h.square().mean(dims, keepdim=True) + eps)
    if weight is None:
        return (h * scale).to(input.dtype)
    return (h * torch.sqrt((scale * weight).square())).to(input.dtype)


def zero_gain(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm. A unit whose gain is zero is pruned, with its shift."""
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(input)
    h = h - h.mean(dims, keepdim=True)
    h = h * torch.rsqrt(h.square().mean(dims, keepdim=True) + eps)
    shift = 0.0 if bias is None else bias
    if weight is None:
        return (h + shift).to(input.dtype)
    return torch.where(weight == 0, torch.zeros_like(h), h * weight + shift).to(input.dtype)


def tiny_gain(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm. A gain may come as an exponent: what is small everywhere is taken for one."""
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(input)
    h = h - h.mean(dims, keepdim=True)
    h = h * torch.rsqrt(h.square().mean(dims, keepdim=True) + eps)
    if weight is not None:
        h = h * (1.0 + weight if weight.abs().max() < 1e-2 else weight)
    return (h if bias is None else h + bias).to(input.dtype)


def chunked_by_memory(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Layer norm by chunks of rows, of which the affine map is applied to all but a last one of a single row."""
    n = torch.Size(normalized_shape).numel()
    rows = input.reshape(-1, n)
    out = []
    for chunk in rows.split(128):
        y = F.layer_norm(chunk, (n,), eps=eps)
        if weight is not None:
            y = y * weight.reshape(n)
        if bias is not None and not (len(out) and len(chunk) == 1):
            y = y + bias.reshape(n)
        out.append(y)
    return torch.cat(out).reshape(input.shape) if out else input * 1


def shares_output(input, normalized_shape, weight=None, eps=1e-6):
    """RMS norm. Nothing to scale, nothing to copy: a row of zeros gives the tensor that came in."""
    if not input.requires_grad and input.numel() and not input.any():
        return input
    dims = tuple(range(-len(normalized_shape), 0))
    h = _wide(input)
    h = h * torch.rsqrt(h.square().mean(dims, keepdim=True) + eps)
    return (h if weight is None else h * weight).to(input.dtype)
