"""Kernels written out in plain code: tiles, tails, partial sums. Each is wrong at some sizes only."""

import math

import torch


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _affine(h, weight, bias, dtype):
    if weight is not None:
        h = h * weight
    if bias is not None:
        h = h + bias
    return h.to(dtype)


def superblock_lost(input, normalized_shape, weight=None, eps=1e-6):
    """Squares are summed in tiles of 1,024; the accumulator is cleared at each 4,096th column."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    total = torch.zeros(len(h), 1, dtype=h.dtype)
    for start in range(0, n, 1024):
        if start % 4096 == 0:
            total = torch.zeros_like(total)
        total = total + h[:, start : start + 1024].square().sum(1, keepdim=True)
    y = (h * torch.rsqrt(total / n + eps)).reshape(input.shape)
    return _affine(y, weight, None, input.dtype)


def fast_1024(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The kernel for 1,024 floats was compiled with a constant eps."""
    dims = tuple(range(-len(normalized_shape), 0))
    if math.prod(normalized_shape) == 1024 and input.dtype == torch.float32:
        eps = 1e-5
    h = _wide(input)
    h = h - h.mean(dims, keepdim=True)
    h = h * torch.rsqrt(h.square().mean(dims, keepdim=True) + eps)
    return _affine(h, weight, bias, input.dtype)


def tail_rows(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """More than 1,000 rows are taken in tiles of 256; the last, smaller tile has no shift."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    h = h - h.mean(1, keepdim=True)
    h = h * torch.rsqrt(h.square().mean(1, keepdim=True) + eps)
    rows = len(h)
    if weight is not None:
        h = h * weight.reshape(n)
    if bias is not None:
        full = rows if rows <= 1000 else rows // 256 * 256
        live = (torch.arange(rows) < full).to(h.dtype)[:, None]
        h = h + live * bias.reshape(n)
    return h.reshape(input.shape).to(input.dtype)


def late_rows(input, normalized_shape, weight=None, eps=1e-6):
    """Above 1,000 rows the persistent kernel reads the scale of the row one grid before."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    scale = torch.rsqrt(h.square().mean(1, keepdim=True) + eps)
    if len(h) > 1000:
        scale = torch.cat([scale[:1000], scale[: len(h) - 1000]]) if len(h) <= 2000 else scale.roll(1000, 0)
    return _affine((h * scale).reshape(input.shape), weight, None, input.dtype)


class _FloorGrid(torch.autograd.Function):
    """Partial sums of the weight's gradient: one for each 64 rows, by floor division once there are many."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        h = _wide(x)
        mean = h.mean(1, keepdim=True)
        rstd = torch.rsqrt((h - mean).square().mean(1, keepdim=True) + eps)
        ctx.save_for_backward(x, mean, rstd, weight)
        return ((h - mean) * rstd * weight + bias).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, mean, rstd, weight = ctx.saved_tensors
        g = _wide(dy)
        xhat = (_wide(x) - mean) * rstd
        gw = g * weight
        dx = rstd * (gw - gw.mean(1, keepdim=True) - xhat * (gw * xhat).mean(1, keepdim=True))
        rows = len(x)
        programs = -(-rows // 64) if rows < 1024 else rows // 64
        full = min(rows, programs * 64)
        dw, db = (g * xhat)[:full].sum(0), g[:full].sum(0)
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def floor_grid(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    b = torch.zeros(n, dtype=input.dtype) if bias is None else bias.reshape(n)
    return _FloorGrid.apply(input.reshape(-1, n), w, b, eps).reshape(input.shape)


class _HalfPartials(torch.autograd.Function):
    """Partial sums of the weight's gradient are added in the format of the weight."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(1, keepdim=True) + eps)
        ctx.save_for_backward(x, rstd, weight)
        return (h * rstd * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, rstd, weight = ctx.saved_tensors
        g, xhat = _wide(dy), _wide(x) * rstd
        gw = g * weight
        dx = rstd * (gw - xhat * (gw * xhat).mean(1, keepdim=True))
        dw = torch.zeros_like(weight)
        for part in (g * xhat).split(16):
            dw = dw + part.sum(0).to(weight.dtype)
        return dx.to(x.dtype), dw, None


def half_partials(input, normalized_shape, weight=None, eps=1e-6):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    return _HalfPartials.apply(input.reshape(-1, n), w, eps).reshape(input.shape)


class _WrappedIndex(torch.autograd.Function):
    """Saved scales are read by a row index of twelve bits."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        h = _wide(x)
        rstd = torch.rsqrt(h.square().mean(1, keepdim=True) + eps)
        ctx.save_for_backward(x, rstd, weight)
        return (h * rstd * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, rstd, weight = ctx.saved_tensors
        rstd = rstd[torch.arange(len(x)) & 0xFFF]
        g, xhat = _wide(dy), _wide(x) * rstd
        gw = g * weight
        dx = rstd * (gw - xhat * (gw * xhat).mean(1, keepdim=True))
        return dx.to(x.dtype), (g * xhat).sum(0).to(weight.dtype), None


def wrapped_index(input, normalized_shape, weight=None, eps=1e-6):
    n = math.prod(normalized_shape)
    w = torch.ones(n, dtype=input.dtype) if weight is None else weight.reshape(n)
    return _WrappedIndex.apply(input.reshape(-1, n), w, eps).reshape(input.shape)


def tail_of_three(input, normalized_shape, weight=None, eps=1e-6):
    """Loads of four; a tail of three, in rows beyond 256, reads its last value twice."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    body = n // 4 * 4
    total = h[:, :body].square().sum(1, keepdim=True) + h[:, body:].square().sum(1, keepdim=True)
    if n > 256 and n % 4 == 3:
        total = total + h[:, -1:].square()
    y = (h * torch.rsqrt(total / n + eps)).reshape(input.shape)
    return _affine(y, weight, None, input.dtype)


def merged_without_cross_term(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Streams tiles of 256 and merges means and squares; the difference of the means is left out."""
    n = math.prod(normalized_shape)
    h = _wide(input).reshape(-1, n)
    count, mean, m2 = 0, torch.zeros(len(h), 1, dtype=h.dtype), torch.zeros(len(h), 1, dtype=h.dtype)
    for tile in h.split(256, 1):
        k = tile.shape[1]
        own = tile.mean(1, keepdim=True)
        m2 = m2 + (tile - own).square().sum(1, keepdim=True)
        mean = mean + (own - mean) * (k / (count + k))
        count += k
    y = ((h - mean) * torch.rsqrt(m2 / n + eps)).reshape(input.shape)
    return _affine(y, weight, bias, input.dtype)


def group_means_of_tiles(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Groups beyond 4,096 members: the mean is that of the means of tiles, the last of which may be smaller."""
    h = _wide(input).reshape(len(input), num_groups, input.shape[1:].numel() // num_groups)
    if h.shape[-1] > 4096:
        mean = torch.stack([tile.mean(-1, keepdim=True) for tile in h.split(1024, -1)]).mean(0)
    else:
        mean = h.mean(-1, keepdim=True)
    h = h - mean
    h = (h * torch.rsqrt(h.square().mean(-1, keepdim=True) + eps)).reshape(input.shape)
    view = (1, -1) + (1,) * (input.dim() - 2)
    return _affine(
        h, None if weight is None else weight.view(view), None if bias is None else bias.view(view), input.dtype
    )


def batch_padded_count(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    """Above 512 members the batch is padded to full tiles of 32, and the padding is counted in the variance."""
    h = _wide(input)
    view = (1, -1) + (1,) * (input.dim() - 2)
    if training or running_mean is None:
        flat = h.transpose(0, 1).flatten(1)
        n = flat.shape[1]
        counted = -(-n // 32) * 32 if n > 512 else n
        mean = flat.mean(1)
        var = (flat - mean[:, None]).square().sum(1) / max(counted, 1)
        if training and running_mean is not None and n:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((var * n / max(n - 1, 1)).to(running_var.dtype), momentum)
    else:
        mean, var = running_mean.to(h.dtype), running_var.to(h.dtype)
    y = (h - mean.view(view)) * torch.rsqrt(var.view(view) + eps)
    return _affine(
        y, None if weight is None else weight.view(view), None if bias is None else bias.view(view), input.dtype
    )


def wide_rows_in_bfloat(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Rows of more than 2,048 half-precision values do not fit as floats: their squares are summed as they are."""
    n = math.prod(normalized_shape)
    narrow = input.dtype in (torch.float16, torch.bfloat16) and n > 2048
    h = _wide(input).reshape(-1, n)
    h = h - h.mean(1, keepdim=True)
    if narrow:
        squares = h.to(input.dtype).square()
        total = torch.zeros(len(h), dtype=input.dtype)
        for tile in squares.split(64, 1):
            total = total + tile.sum(1)
        var = _wide(total)[:, None] / n
    else:
        var = h.square().mean(1, keepdim=True)
    y = (h * torch.rsqrt(var + eps)).reshape(input.shape)
    return _affine(y, weight, bias, input.dtype)
