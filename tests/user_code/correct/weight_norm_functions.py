"""Weight norm as functions of the direction v and the length g. dim=None: one norm for the whole tensor."""

import torch
from torch.autograd.function import once_differentiable


def _others(v, dim):
    return tuple(a for a in range(v.dim()) if dim is None or a != dim % v.dim())


def _wide(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def direct(v, g, dim=0):
    """g * v / |v|, as in the paper."""
    h = _wide(v)
    axes = _others(v, dim)
    norm = h.pow(2).sum(axes, keepdim=True).sqrt() if axes else h.abs()
    return (_wide(g) * h / norm).to(v.dtype)


def flattened(v, g, dim=0):
    """Moves the axis to the front and flattens the others."""
    h = _wide(v)
    if dim is None:
        return (h * (_wide(g) / torch.linalg.vector_norm(h))).to(v.dtype)
    rows = h.movedim(dim, 0)
    flat = rows.reshape(rows.shape[0], -1)
    unit = flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    w = unit * _wide(g).reshape(-1, 1)
    return w.reshape(rows.shape).movedim(0, dim).to(v.dtype)


def reciprocal_norm(v, g, dim=0):
    """rsqrt of the sum of squares, contracted by einsum."""
    h = _wide(v)
    flat = h.reshape(1, -1) if dim is None else h.movedim(dim, 0).flatten(1) if v.dim() > 1 else h[:, None]
    scale = torch.einsum("rn,rn->r", flat, flat).rsqrt()
    if dim is None:
        scale = scale.reshape([1] * v.dim())
    else:
        scale = scale.reshape([-1 if a == dim % v.dim() else 1 for a in range(v.dim())])
    return (h * (scale * _wide(g))).to(v.dtype)


class _WeightNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, g, dim):
        axes = _others(v, dim)
        h = _wide(v)
        norm = (h * h).sum(axes, keepdim=True).sqrt() if axes else h.abs()
        ctx.save_for_backward(v, g, norm)
        ctx.axes = axes
        return (_wide(g) * (h / norm)).to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dw):
        v, g, norm = ctx.saved_tensors
        unit = _wide(v) / norm
        dw = _wide(dw)
        dg = (dw * unit).sum(ctx.axes, keepdim=True) if ctx.axes else dw * unit
        dv = _wide(g) / norm * (dw - unit * dg)
        return dv.to(v.dtype), dg.reshape(g.shape).to(g.dtype), None


def own_backward(v, g, dim=0):
    """An autograd function: dv = g / |v| * (dw - u <dw, u>)."""
    return _WeightNorm.apply(v, g, dim)


def row_by_row(v, g, dim=0):
    """A loop over the slices of the axis."""
    if dim is None:
        h = _wide(v)
        return (h / torch.sqrt(torch.sum(h * h)) * _wide(g)).to(v.dtype)
    out = [
        row * (length.reshape(()) / torch.sqrt(torch.sum(row * row)))
        for row, length in zip(_wide(v).unbind(dim), _wide(g).reshape(-1))
    ]
    return torch.stack(out, dim).to(v.dtype)
