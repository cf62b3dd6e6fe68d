"""A module of the reference whose weight is made of a direction and a length; a fault replaces one of its hooks."""

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
"""Learning rate of a step: large enough to change every weight."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldParameters:
    """What the module keeps: direction v, length g, and the weight w that its next forward uses."""

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
    """What a transformed module does beside computing a weight from v and g; each hook of a fault replaces one."""

    length: Callable[[Array], Array] = _same  # from the norms to the initial length
    stepped: Callable[[HeldParameters, HeldParameters], HeldParameters] = (
        _after  # from before and right after to what is kept after a step
    )
    loaded: Callable[[HeldParameters, HeldParameters], HeldParameters] = _after  # likewise after a state was loaded
    removed: Callable[[HeldParameters], Array] = _weight  # the weight after the transform is removed
    trained: Callable[[HeldParameters], Mapping[str, Array]] = _pair  # the parameters that an optimizer gets


class FaultyTransformed:
    """A module made of a call that returns w for v and g; implements the protocol `Transformed`."""

    def __init__(self, call: Call, normalizer: Normalizer, hooks: ParametrizationHooks, case: Case) -> None:
        self._call, self._hooks, self._case = call, hooks, case
        part = normalizer.sets.over(case.x.shape, dim=case.dim)
        norms = np.sqrt(np.square(part.gather(case.x)).sum(axis=1)).reshape(part.parameter)
        self._held = self._of(case.x, case.format.round(hooks.length(norms)))
        self._plain: Array | None = None  # the weight after the transform was removed

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
    """Makes modules of the reference with these hooks."""
    return lambda case: FaultyTransformed(call, normalizer, hooks, case)
