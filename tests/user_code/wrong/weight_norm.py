"""Weight norm with one fault in each function."""

import torch
from torch.autograd.function import once_differentiable


def _wide(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _norm(v, dim):
    if dim is None:
        return torch.linalg.vector_norm(v).reshape([1] * v.dim())
    axes = [a for a in range(v.dim()) if a != dim % v.dim()]
    return v.square().sum(axes, keepdim=True).sqrt() if axes else v.abs()


def norm_over_dim(v, g, dim=0):
    """The norm runs over dim, where it should run over all others."""
    h = _wide(v)
    norm = torch.linalg.vector_norm(h) if dim is None else torch.linalg.vector_norm(h, dim=dim, keepdim=True)
    return (_wide(g) * h / norm).to(v.dtype)


def dim_ignored(v, g, dim=0):
    """Rows are always those of axis 0."""
    h = _wide(v)
    return (_wide(g) * h / _norm(h, None if dim is None else 0)).to(v.dtype)


def one_norm_for_all(v, g, dim=0):
    """Divides by the norm of the whole tensor."""
    h = _wide(v)
    return (_wide(g) * (h / torch.linalg.vector_norm(h))).to(v.dtype)


def length_ignored(v, g, dim=0):
    """Returns the direction alone."""
    h = _wide(v)
    return (h / _norm(h, dim)).to(v.dtype)


def norm_detached(v, g, dim=0):
    """The norm is a constant to autograd."""
    h = _wide(v)
    return (_wide(g) * h / _norm(h, dim).detach()).to(v.dtype)


class _NoProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, g, dim):
        norm = _norm(_wide(v), dim)
        ctx.save_for_backward(v, g, norm)
        return (_wide(v) * (_wide(g) / norm)).to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dw):
        v, g, norm = ctx.saved_tensors
        dw = _wide(dw)
        dv = dw * (_wide(g) / norm)
        dg = (dw * _wide(v) / norm).sum_to_size(norm.shape)
        return dv.to(v.dtype), dg.reshape(g.shape).to(g.dtype), None


def no_projection(v, g, dim=0):
    """A hand-written dv without the term along v."""
    return _NoProjection.apply(v, g, dim)


def through_float32(v, g, dim=0):
    """Float64 goes through float32."""
    h = v.float()
    return (g.float() * h / _norm(h, dim)).to(v.dtype)


def running_sum_in_half(v, g, dim=0):
    """The sum of squares is kept in the type of v."""
    rows = v.reshape(1, -1) if dim is None else v.movedim(dim, 0).reshape(v.shape[dim], -1)
    total = torch.zeros_like(rows[:, 0])
    for column in rows.unbind(1):
        total = total + column * column
    shape = [1] * v.dim()
    if dim is not None:
        shape[dim] = -1
    return (_wide(v) * _wide(g) / _wide(total).sqrt().reshape(shape)).to(v.dtype)
