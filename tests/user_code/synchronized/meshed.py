"""Functions and layers that are given DTensors: their part of one tensor on a mesh of all processes."""

from __future__ import annotations

import torch
from right import AllReduced, wide
from torch import nn
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard


def divided_width(x, weight=None, eps=1e-6):
    """Right: what is computed of DTensors is computed of the joined input, in plain operators."""
    h = wide(x)
    y = h * torch.rsqrt(h.pow(2).sum(-1, keepdim=True) / x.shape[-1] + eps)
    return (y if weight is None else y * weight).to(x.dtype)


def replicated(x):
    return x.placements[0].is_replicate()


def divided_width_by_hand(x, weight=None, eps=1e-6):
    """Right: the parts are taken out, summed over all processes if they are parts, and put back."""
    h = wide(x.to_local())
    total = h.pow(2).sum(-1, keepdim=True)
    if not replicated(x):
        total = AllReduced.apply(total, x.device_mesh.get_group())
    return put_back(h * torch.rsqrt(total / x.shape[-1] + eps), x, weight)


def put_back(y, x, weight):
    y = (y if weight is None else y * weight.to_local()).to(x.dtype)
    return DTensor.from_local(y, x.device_mesh, x.placements, shape=x.shape, stride=x.stride())


def copies_summed(x, weight=None, eps=1e-6):
    """Sums over all processes what each of them may have whole."""
    h = wide(x.to_local())
    total = AllReduced.apply(h.pow(2).sum(-1, keepdim=True), x.device_mesh.get_group())
    return put_back(h * torch.rsqrt(total / x.shape[-1] + eps), x, weight)


def divided_alone(x, weight=None, eps=1e-6):
    """Right, and takes no other placement."""
    if replicated(x):
        raise NotImplementedError("the width must be divided")
    return copies_summed(x, weight, eps)


def own_width(x, weight=None, eps=1e-6):
    """The mean square of its own part."""
    h = wide(x.to_local())
    y = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + eps)
    y = (y if weight is None else y * weight.to_local()).to(x.dtype)
    return DTensor.from_local(y, x.device_mesh, x.placements, shape=x.shape, stride=x.stride())


def gathered_width(x, weight=None, eps=1e-6):
    """Right, and every process holds the whole output."""
    return divided_width(x, weight, eps).redistribute(x.device_mesh, [Replicate()])


def plain_output(x, weight=None, eps=1e-6):
    """Returns its part of the output, which is no DTensor."""
    return divided_width(x, weight, eps).to_local()


class Rows(nn.Module):
    """RMS norm of divided rows, whose weight is replicated; it takes the parts out."""

    def __init__(self, normalized_shape, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(normalized_shape)), eps

    def own(self, x):
        return self.weight.to_local(grad_placements=[Replicate() if replicated(x) else Partial()])

    def placed(self, x):
        return x.placements

    def forward(self, x):
        h = wide(x.to_local())
        y = (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps) * self.own(x)).to(x.dtype)
        return DTensor.from_local(y, x.device_mesh, self.placed(x), shape=x.shape, stride=x.stride())


class AlwaysPartial(Rows):
    """It says so too where every process has all rows."""

    def own(self, x):
        return self.weight.to_local(grad_placements=[Partial()])


class FirstAxisPartial(Rows):
    """It says so of rows that are divided along the first axis alone."""

    def own(self, x):
        return self.weight.to_local(grad_placements=[Partial() if x.placements == (Shard(0),) else Replicate()])


class AlwaysFirstAxis(Rows):
    """It puts its parts one behind the other along the first axis, whatever they are parts of."""

    def placed(self, x):
        return [Shard(0)]


class PartialRows(Rows):
    """It does not say that the gradient of its part of the weight is a part of a sum."""

    def own(self, x):
        return self.weight.to_local()
