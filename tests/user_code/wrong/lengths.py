"""Scales of something other than the root of the mean of squares of the row."""

import torch


def _up(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _axes(normalized_shape):
    return tuple(range(-(1 if isinstance(normalized_shape, int) else len(normalized_shape)), 0))


def unit_length(x, normalized_shape, weight=None, eps=1e-6):
    """The vector gets the length one, as an embedding does."""
    h = _up(x)
    h = h * torch.rsqrt(h.pow(2).sum(_axes(normalized_shape), keepdim=True) + eps)
    return (h if weight is None else h * weight).to(x.dtype)


def unit_length_of_deviations(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = _up(x)
    h = h - h.mean(_axes(normalized_shape), keepdim=True)
    h = h / torch.sqrt(h.square().sum(_axes(normalized_shape), keepdim=True) + eps)
    h = h if weight is None else h * weight
    return (h if bias is None else h + bias).to(x.dtype)


def groups_of_four(x, normalized_shape, weight=None, eps=1e-6, group_size=4):
    """The norm of a state-space model split over devices: each has four channels of the row, if that divides it."""
    h = _up(x)
    if x.shape[-1] > group_size and x.shape[-1] % group_size == 0:
        groups = h.unflatten(-1, (-1, group_size))
        h = (groups * torch.rsqrt(groups.square().mean(-1, keepdim=True) + eps)).flatten(-2)
    else:
        h = h * torch.rsqrt(h.square().mean(_axes(normalized_shape), keepdim=True) + eps)
    return (h if weight is None else h * weight).to(x.dtype)
