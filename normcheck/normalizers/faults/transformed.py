"""A module of the reference whose weight is made of a direction and a length; a fault replaces one of its hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array, Format
from normcheck.normalizers.case import WEIGHT, Case
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


def _before(before: HeldParameters, after: HeldParameters) -> HeldParameters:
    return before


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
    evaluated: Callable[[HeldParameters, HeldParameters], HeldParameters] = (
        _after  # from what the last call in training used and what is kept to what evaluation uses
    )
    copied: Callable[[HeldParameters, HeldParameters], HeldParameters] = (
        _before  # from what is copied and what the original has then to what the copy has
    )
    dim: Callable[[int | None], int | None] = _same  # from the dim that was given to the one that is used
    named: bool = True  # the parameter that is named is replaced, not always the weight
    returned: str = "a module"  # or what the transform returns in its place
    format: Callable[[Format], Format] = _same  # of v and g, from that of the module
    removed: Callable[[HeldParameters], Array] = _weight  # the weight after the transform is removed
    trained: Callable[[HeldParameters], Mapping[str, Array]] = _pair  # the parameters that an optimizer gets


class FaultyTransformed:
    """A module made of a call that returns w for v and g; implements the protocol `Transformed`."""

    def __init__(self, call: Call, normalizer: Normalizer, hooks: ParametrizationHooks, case: Case) -> None:
        case = case.but(dim=hooks.dim(case.dim))
        self._call, self._hooks, self._case = call, hooks, case
        part = normalizer.sets.over(case.x.shape, dim=case.dim)
        v = case.x
        self._beside: Mapping[str, Array] = {}  # parameters beside the one that the module returns
        if case.parameter != WEIGHT:
            other = case.format.round(1.5 - case.x)
            v, self._beside = (v, {WEIGHT: other}) if hooks.named else (other, {case.parameter: v})
        norms = np.sqrt(np.square(part.gather(v)).sum(axis=1)).reshape(part.parameter)
        self._held = self._of(v, case.format.round(hooks.length(norms)))
        self._used = self._held  # by the last call in training
        self._plain: Array | None = None  # the weight after the transform was removed

    def _of(self, v: Array, g: Array) -> HeldParameters:
        return HeldParameters(v, g, self._call(self._case.but(x=v, weight=g, dy=None), False).y)

    def options(self) -> tuple[str, ...]:
        return "name", "dim"

    def returned(self) -> Mapping[str, str]:
        return {"returned": self._hooks.returned}

    def weight(self) -> Array:
        self._used = self._held
        return self._beside.get(self._case.parameter, self._held.w) if self._plain is None else self._plain

    def evaluated(self) -> Array:
        return self._hooks.evaluated(self._used, self._held).w

    def trained(self) -> Mapping[str, Array]:
        if self._plain is not None:
            return {WEIGHT: self._plain}
        return {**self._hooks.trained(self._held), **self._beside}

    def formats(self) -> Mapping[str, str]:
        return dict.fromkeys(self._hooks.trained(self._held), self._hooks.format(self._case.format).name)

    def step(self, case: Case) -> None:
        v, g, round_ = self._held.v, self._held.g, case.format.round
        self._used = self._held
        answer = self._call(case.but(x=v, weight=g, dim=self._case.dim), True)
        assert answer.dx is not None, "the reference has gradients"
        assert answer.dweight is not None, "the reference has gradients"
        after = self._of(round_(v - RATE * answer.dx), round_(g - RATE * answer.dweight))
        self._held = self._hooks.stepped(self._held, after)

    def load(self, other: Case) -> None:
        assert other.weight is not None, "the normalizer acts on weights"
        if other.weight.size != self._held.g.size:
            raise CallError("the length of the other state has another size")
        self._held = self._hooks.loaded(self._held, self._of(other.x, other.weight))

    def copy(self) -> None:
        overwritten = self._of(0.5 - 1.5 * self._held.v, 0.5 - 1.5 * self._held.g)
        self._held = self._used = self._hooks.copied(self._held, overwritten)

    def remove(self) -> str:
        self._plain = self._hooks.removed(self._held)
        return ""


def of(call: Call, normalizer: Normalizer, hooks: ParametrizationHooks) -> Callable[[Case], Transformed]:
    """Makes modules of the reference with these hooks."""
    return lambda case: FaultyTransformed(call, normalizer, hooks, case)
