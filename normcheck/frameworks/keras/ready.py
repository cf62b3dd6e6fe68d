"""A layer of Keras made ready for a case, as a function of arrays of the backend: what all backends share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from normcheck.core.errors import CallError
from normcheck.frameworks.channels import channels_last
from normcheck.frameworks.keras.variables import STATE, held, paths, policy, sizes
from normcheck.frameworks.protocol import Build
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

Output = Callable[[Any, Any, str], Any]
"""The normalized array of the backend among what was returned, from that, the input, and the name of the target."""

Given = Mapping[str, Any]
"""Arrays of the backend by role."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where the layers of a target come from.

    last: whether the channels are in the last axis, by the rank of the input; found at the first case of a rank.
    """

    build: Build
    name: str
    normalizer: Normalizer
    last: dict[int, bool]

    def ready(self, case: Case) -> ReadyLayer:
        """A new layer for a case, in its format."""
        if case.x.ndim not in self.last:
            self.last[case.x.ndim] = self._channels_last(case)
        with policy(case.format.name):
            layer = self.build(case)
        known = held(layer)
        own = {role: known[path] for role, path in paths(layer).items()}
        return ReadyLayer(layer, self.name, own, moved=self.last[case.x.ndim])

    def _channels_last(self, case: Case) -> bool:
        layer = self.build(case)
        own = sizes(layer)
        axis = getattr(layer, "axis", None)
        if own is None and isinstance(axis, int):
            return axis % case.x.ndim != 1 or case.x.ndim == 2
        return channels_last(self.normalizer, case, None if own is None else own.units, lambda one: _works(layer, one))


def _works(layer: Any, shape: tuple[int, ...]) -> bool:
    try:
        returned = layer(keras.ops.zeros(shape), training=False)
    except Exception:
        return False
    return keras.ops.is_tensor(returned) and tuple(returned.shape) == shape


@dataclass(frozen=True, slots=True, eq=False)
class ReadyLayer:
    """A layer, its variables by role, and whether it gets the channels of its input in the last axis."""

    layer: Any
    name: str
    variables: Given
    moved: bool

    def run(self, case: Case, given: Given, output: Output) -> tuple[Any, dict[str, Any]]:
        """One call with arrays in the places of its variables: the output, and the running statistics after it.

        The variables themselves are neither read nor written, so that the backend differentiates by the arrays.
        """
        own = {role: variable for role, variable in self.variables.items() if role in given}
        x = keras.ops.moveaxis(given["input"], 1, -1) if self.moved else given["input"]
        placed = [(one, self._shaped(given[role], one)) for role, one in own.items()]
        with keras.StatelessScope(state_mapping=placed) as scope:
            y = output(self.layer(x, training=case.training), x, self.name)
        state = {
            role: keras.ops.reshape(scope.get_current_value(own[role]), given[role].shape)
            if role in own
            else given[role]
            for role in STATE
            if role in given
        }
        return keras.ops.moveaxis(y, -1, 1) if self.moved else y, state

    def _shaped(self, value: Any, variable: Any) -> Any:
        numbers, needed = math.prod(value.shape), math.prod(variable.shape)
        if numbers != needed:
            shape = tuple(variable.shape)
            raise CallError(f"{self.name} has a parameter of shape {shape} where {numbers} numbers are needed")
        return keras.ops.reshape(value, variable.shape)
