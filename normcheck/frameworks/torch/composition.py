"""A normalizer composed of torch's basic operators, from its entry, in the order of `normalizers.composition`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from normcheck.core.contract import Contract
from normcheck.frameworks.torch.layer import Leaf, PreparedLayer
from normcheck.frameworks.torch.tensors import DTYPES, given
from normcheck.frameworks.torch.uses import make
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.cast_order import AFTER
from normcheck.normalizers.reference.oracle import held_eps
from normcheck.normalizers.subject import Call

Composition = Callable[[torch.Tensor, Leaf, Leaf], torch.Tensor]
"""A function of input, weight and bias."""


def compose(normalizer: Normalizer, case: Case, contract: Contract) -> Composition:
    """The normalizer in training mode, for inputs of the case's shape.

    Statistics are computed in float32 or wider, as in torch's own functions.
    """
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    members, wide, eps = part.members, DTYPES[case.format.wide.name], held_eps(contract, case.eps or 0.0)
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
        y = y if contract.cast == AFTER else y.to(x.dtype)
        if weight is not None:
            gain = 1.0 + weight.to(torch.promote_types(weight.dtype, y.dtype)) if contract.weight == "1+w" else weight
            y = y * gain.reshape(part.spread_shape)
        if bias is not None:
            y = y + bias.reshape(part.spread_shape)
        return y.to(x.dtype) if contract.cast == AFTER else y

    return forward


def prepared(name: str, case: Case, forward: Composition) -> PreparedLayer:
    """A composition with the input, weight and bias of a case."""
    x, weight, bias = (given(a, case, n) for a, n in ((case.x, "x"), (case.weight, "weight"), (case.bias, "bias")))
    return PreparedLayer(name, (x, weight, bias), forward)


def call(normalizer: Normalizer, contract: Contract) -> Call:
    """The composition as a call."""
    name = f"the composition of {normalizer.name}"
    return make(lambda case: prepared(name, case, compose(normalizer, case, contract)))
