"""A module of the reference whose weight is made of a direction and a length: a fault replaces one of its hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call, Transformed

RATE = 0.25
"""Of a step: large enough to move every weight."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldParameters:
    """What the module holds: direction, length, and the weight that its next forward uses."""

    v: Array
    g: Array
    w: Array


def _same(value: Any) -> Any:
    return value


def _after(before: HeldParameters, after: HeldParameters) -> HeldParameters:
    return after


def _weight(held: HeldParameters) -> Array:
    return held.w


def _pair(held: HeldParameters) -> Mapping[str, Array]:
    return {"direction": held.v, "length": held.g}


@dataclass(frozen=True, slots=True)
class ParametrizationHooks:
    """How a transformed module behaves, beside how it makes a weight of v and g."""

    length: Callable[[Array], Array] = _same  # what the length begins with, of the norms
    stepped: Callable[[HeldParameters, HeldParameters], HeldParameters] = (
        _after  # what is held after a step, of before and after
    )
    loaded: Callable[[HeldParameters, HeldParameters], HeldParameters] = (
        _after  # the same after another's state was loaded
    )
    removed: Callable[[HeldParameters], Array] = _weight  # the weight that stays
    trained: Callable[[HeldParameters], Mapping[str, Array]] = _pair  # what an optimizer is given


class FaultyTransformed:
    """A module over a call that answers w for v and g."""

    def __init__(self, call: Call, normalizer: Normalizer, hooks: ParametrizationHooks, case: Case) -> None:
        self._call, self._hooks, self._case = call, hooks, case
        part = normalizer.sets.over(case.x.shape, dim=case.dim)
        norms = np.sqrt(np.square(part.gather(case.x)).sum(axis=1)).reshape(part.parameter)
        self._held = self._of(case.x, case.format.round(hooks.length(norms)))
        self._plain: Array | None = None  # the weight, once the transform was removed

    def _of(self, v: Array, g: Array) -> HeldParameters:
        return HeldParameters(v, g, self._call(self._case.but(x=v, weight=g, dy=None), False).y)

    def weight(self) -> Array:
        return self._held.w if self._plain is None else self._plain

    def trained(self) -> Mapping[str, Array]:
        return self._hooks.trained(self._held) if self._plain is None else {"weight": self._plain}

    def step(self, case: Case) -> None:
        v, g, round_ = self._held.v, self._held.g, case.format.round
        answer = self._call(case.but(x=v, weight=g), True)
        assert answer.dx is not None, "the reference has gradients"
        assert answer.dweight is not None, "the reference has gradients"
        after = self._of(round_(v - RATE * answer.dx), round_(g - RATE * answer.dweight))
        self._held = self._hooks.stepped(self._held, after)

    def load(self, other: Case) -> None:
        assert other.weight is not None, "the normalizer acts on weights"
        self._held = self._hooks.loaded(self._held, self._of(other.x, other.weight))

    def remove(self) -> str:
        self._plain = self._hooks.removed(self._held)
        return ""


def of(call: Call, normalizer: Normalizer, hooks: ParametrizationHooks) -> Callable[[Case], Transformed]:
    """Modules of the reference with these hooks."""
    return lambda case: FaultyTransformed(call, normalizer, hooks, case)
