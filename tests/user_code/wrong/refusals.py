"""Takes sizes that do not fit each other, or raises in the backward on what the forward takes; else right."""

import torch


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _per_channel(parameter, x):
    return parameter.reshape(1, -1, *(1,) * (x.dim() - 2))


def left_over(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Channels per group are rounded down, and the output starts as zeros: no group writes the last channels."""
    size = x.shape[1] // num_groups
    y = torch.zeros_like(_up(x))
    for i in range(num_groups):
        some = slice(i * size, (i + 1) * size)
        group = _up(x[:, some])
        axes = tuple(range(1, group.dim()))
        mean = group.mean(axes, keepdim=True)
        variance = (group - mean).square().mean(axes, keepdim=True)
        y[:, some] = (group - mean) * torch.rsqrt(variance + eps)
    y = y if weight is None else y * _per_channel(_up(weight), x)
    y = y if bias is None else y + _per_channel(_up(bias), x)
    return y.to(x.dtype)


def as_many_as_fit(x, num_groups, weight=None, bias=None, eps=1e-5):
    """The same with one reshape of the channels that fit; what is behind them is taken over as it is."""
    size = x.shape[1] // num_groups
    fit = size * num_groups
    groups = _up(x[:, :fit]).reshape(len(x), num_groups, -1)
    centered = groups - groups.mean(2, keepdim=True)
    y = centered * torch.rsqrt(centered.square().mean(2, keepdim=True) + eps)
    y = torch.cat([y.reshape(x[:, :fit].shape), _up(x[:, fit:])], 1)
    y = y if weight is None else y * _per_channel(_up(weight), x)
    y = y if bias is None else y + _per_channel(_up(bias), x)
    return y.to(x.dtype)


def _from_pointer(parameter, count):
    """What a kernel reads that gets a pointer and a count."""
    return _up(torch.as_strided(parameter, (count,), (1,), parameter.storage_offset()))


def _contiguous(parameter):
    return parameter.flatten() if parameter.dim() > 1 or parameter.stride() != (1,) else parameter


def pointer_of_weight(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The kernel gets pointers to weight and bias and the width of the input; nobody compares the lengths."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    width = torch.Size(shape).numel()
    rows = _up(x).reshape(-1, width)
    centered = rows - rows.mean(1, keepdim=True)
    y = centered * torch.rsqrt(centered.square().mean(1, keepdim=True) + eps)
    y = y if weight is None else y * _from_pointer(_contiguous(weight), width)
    y = y if bias is None else y + _from_pointer(_contiguous(bias), width)
    return y.reshape(x.shape).to(x.dtype)


def pointer_of_gain(x, normalized_shape, weight=None, eps=1e-5):
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    width = torch.Size(shape).numel()
    rows = _up(x).reshape(-1, width)
    y = rows * torch.rsqrt(rows.square().mean(1, keepdim=True) + eps)
    y = y if weight is None else y * _from_pointer(_contiguous(weight), width)
    return y.reshape(x.shape).to(x.dtype)


class _Limited(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, shape, weight, bias, eps):
        ctx.save_for_backward(x, weight, bias)
        ctx.shape, ctx.eps = shape, eps
        return torch.nn.functional.layer_norm(x, shape, weight, bias, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        hidden = torch.Size(ctx.shape).numel()
        if x.dtype == torch.float16 and hidden >= 8192:
            raise ValueError(f"hidden size {hidden} is not supported")
        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_() for t in (x, weight, bias)]
            y = torch.nn.functional.layer_norm(leaves[0], ctx.shape, *leaves[1:], ctx.eps)
        present = [t for t in leaves if t is not None]
        grads = iter(torch.autograd.grad(y, present, dy))
        dx, dweight, dbias = (None if t is None else next(grads) for t in leaves)
        return dx, None, dweight, dbias, None


def kernels_below_8192(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The forward calls any width; the backward of half precision was written for less than 8192."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return _Limited.apply(x, shape, weight, bias, eps)
