"""A normalizer as one would write it in torch's operators, from what its entry says: the plainest baseline there is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from normcheck.frameworks.torch.layer import Leaf
from normcheck.frameworks.torch.tensors import DTYPES
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

Composed = Callable[[torch.Tensor, Leaf, Leaf], torch.Tensor]


def composed(normalizer: Normalizer, case: Case) -> Composed:
    """The normalizer for inputs of the case's shape, in training, as a function of input, weight and bias.

    Statistics in float32 at the least, as torch's own functions take them.
    """
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    members, wide, eps = part.members, DTYPES[case.format.wide.name], case.eps or 0.0
    read = max(1, int(part.n * case.part))

    def forward(x: torch.Tensor, weight: Leaf, bias: Leaf) -> torch.Tensor:
        moved = x.movedim(part.dim, 0) if part.rows else x
        y = moved.to(wide).reshape(part.seen)
        if normalizer.centered:
            y = y - y.mean(members, keepdim=True)
        if normalizer.scaled:
            squares = (y[:, :, :read] if normalizer.partial else y).square()
            square = (
                squares.mean(members, keepdim=True) if normalizer.mean_square else squares.sum(members, keepdim=True)
            )
            y = y * torch.rsqrt(square + eps)
        y = y.reshape(moved.shape)
        y = y.movedim(0, part.dim) if part.rows else y
        if weight is not None:
            y = y * weight.reshape(part.spread_shape)
        if bias is not None:
            y = y + bias.reshape(part.spread_shape)
        return y.to(x.dtype)

    return forward
