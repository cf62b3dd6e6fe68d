"""Numbers that are rounded in another place, or to another format, than they should be."""

import math

import torch


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _axes(x, normalized_shape):
    return tuple(range(-(1 if isinstance(normalized_shape, int) else len(normalized_shape)), 0))


def eps_as_float(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The attribute of an exported graph: a float, in four bytes."""
    epsilon = torch.tensor(eps, dtype=torch.float32)
    h = _up(x)
    var, mean = torch.var_mean(h, _axes(x, normalized_shape), correction=0, keepdim=True)
    h = (h - mean) / torch.sqrt(var + epsilon.to(var.dtype))
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def batch_in_its_format(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Mean and variance leave the operator in the format of its input; the running statistics are updated outside."""
    h, shape = _up(x), (1, -1, *(1,) * (x.dim() - 2))
    if training or running_mean is None:
        var, mean = torch.var_mean(h, [0, *range(2, x.dim())], correction=0)
        if running_mean is not None:
            n = x.numel() / x.shape[1]
            new_mean, new_var = mean.detach().to(x.dtype), var.detach().to(x.dtype)
            running_mean.copy_((1 - momentum) * _up(running_mean) + momentum * _up(new_mean))
            running_var.copy_((1 - momentum) * _up(running_var) + momentum * _up(new_var) * (n / max(n - 1, 1)))
    else:
        mean, var = _up(running_mean), _up(running_var)
    h = (h - mean.view(shape)) * torch.rsqrt(var.view(shape) + eps)
    h = h if weight is None else h * _up(weight).view(shape)
    return (h if bias is None else h + _up(bias).view(shape)).to(x.dtype)


def rounded_last(x, normalized_shape, weight=None, eps=1e-6):
    """Everything in float32, then one cast: as T5 and Gemma do, where a Llama is to be reproduced."""
    h = _up(x)
    h = h * torch.rsqrt(h.pow(2).mean(_axes(x, normalized_shape), keepdim=True) + eps)
    h = h if weight is None else h * _up(weight)
    return h.to(x.dtype)


def rounded_first(x, normalized_shape, weight=None, eps=1e-6):
    """Back to the input's format, then the weight: as Llama does, where the product is to be rounded once."""
    h = _up(x)
    h = (h * torch.rsqrt(h.pow(2).mean(_axes(x, normalized_shape), keepdim=True) + eps)).to(x.dtype)
    return h if weight is None else weight * h


def root_then_reciprocal(x, normalized_shape, weight=None, eps=1e-6):
    """The reciprocal of a root is rounded twice, and rsqrt once."""
    h = _up(x)
    root = torch.sqrt(h.pow(2).mean(_axes(x, normalized_shape), keepdim=True) + eps)
    h = (h * (1 / root)).to(x.dtype)
    return h if weight is None else weight * h


def blocks_by_rows(x, normalized_shape, weight=None, eps=1e-6):
    """Many rows are added in small blocks, few in one: right, and not the same bits."""
    n = math.prod(normalized_shape)
    h = x.reshape(-1, n).to(torch.promote_types(x.dtype, torch.float32))
    square = h * h
    if h.shape[0] >= 256:
        square = torch.stack([block.sum(-1) for block in square.split(8, -1)], -1)
    y = h * torch.rsqrt(square.sum(-1, keepdim=True) / n + eps)
    y = y.reshape(x.shape).to(x.dtype)
    return y if weight is None else y * weight


def parts_by_threads(x, normalized_shape, weight=None, eps=1e-6):
    """Each thread adds up its part of the members: right, and not the same bits on another number of threads."""
    n = math.prod(normalized_shape)
    h = x.reshape(-1, n).to(torch.promote_types(x.dtype, torch.float32))
    size = -(-n // torch.get_num_threads())
    square = torch.stack([part.sum(-1) for part in (h * h).split(size, -1)], -1)
    y = h * torch.rsqrt(square.sum(-1, keepdim=True) / n + eps)
    y = y.reshape(x.shape).to(x.dtype)
    return y if weight is None else y * weight


class _AsTheyAreReady(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, shape, weight, eps):
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.eps = shape, eps
        return torch.nn.functional.rms_norm(x, shape, weight, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        n = math.prod(ctx.shape)
        h, g = (_up(t).reshape(-1, n) for t in (x, dy))
        inverse = torch.rsqrt(h.square().mean(-1, keepdim=True) + ctx.eps)
        xh = h * inverse
        wg = g if weight is None else g * _up(weight).reshape(n)
        dx = inverse * (wg - xh * (wg * xh).mean(-1, keepdim=True))
        dweight = None
        if weight is not None:
            terms = g * xh
            if len(terms) > 256:  # a few blocks, each of which adds its sum when it is done
                blocks = torch.stack([block.sum(0) for block in terms.split(64)])
                order = torch.randperm(len(blocks), generator=_SCHEDULE)
                total = torch.zeros_like(blocks[0])
                for i in order.tolist():
                    total += blocks[i]
            else:
                total = terms.sum(0)
            dweight = total.reshape(weight.shape).to(weight.dtype)
        return dx.reshape(x.shape).to(x.dtype), None, dweight, None


_SCHEDULE = torch.Generator()
"""Which block is done first: another order at each call."""


def blocks_as_they_are_ready(x, normalized_shape, weight=None, eps=1e-6):
    """The sums of blocks of rows are added to dweight atomically."""
    return _AsTheyAreReady.apply(x, tuple(normalized_shape), weight, eps)
