"""A normalizer composed of torch's basic operators, from its catalog entry: the plain baselines, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from normcheck.frameworks.torch.layer import Leaf, PreparedLayer
from normcheck.frameworks.torch.tensors import DTYPES, given
from normcheck.frameworks.torch.uses import make
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Subject

Composition = Callable[[torch.Tensor, Leaf, Leaf], torch.Tensor]
"""A function of input, weight and bias."""


def compose(normalizer: Normalizer, case: Case) -> Composition:
    """The normalizer in training mode, for inputs of the case's shape.

    Statistics are computed in float32 or wider, as in torch's own functions.
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


@dataclass(slots=True)
class _LatestCompilation:
    """The compiled composition of the latest shape: torch keeps compiled code of one function for a few shapes only."""

    key: Any = None
    function: Composition | None = None

    def of(self, found: Subject, case: Case) -> Composition:
        key = (found.normalizer.name, case.x.shape, case.format.name, case.groups, case.normalized, case.dim, case.part)
        if self.function is None or key != self.key:
            torch.compiler.reset()
            self.key, self.function = key, torch.compile(compose(found.normalizer, case), dynamic=False)
        return self.function


def _subject(found: Subject, name: str, forward: Callable[[Case], Composition]) -> Subject:
    def prepare(case: Case) -> PreparedLayer:
        x, weight, bias = (given(a, case, n) for a, n in ((case.x, "x"), (case.weight, "weight"), (case.bias, "bias")))
        return PreparedLayer(name, (x, weight, bias), forward(case))

    return replace(found, name=name, call=make(prepare), live=None, transformed=None)


def eager(found: Subject, name: str) -> Subject:
    """The composition of a subject's normalizer as a subject of that name."""
    return _subject(found, name, lambda case: compose(found.normalizer, case))


def compiled(found: Subject, name: str) -> Subject:
    """The same through `torch.compile`."""
    latest = _LatestCompilation()
    return _subject(found, name, lambda case: latest.of(found, case))
