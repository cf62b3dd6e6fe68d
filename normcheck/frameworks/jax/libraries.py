"""Layers of every library of JAX that is in use: each target is left to the library that it belongs to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar

from normcheck.core.errors import UsageError
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.layers import sample
from normcheck.frameworks.protocol import Build, LayerParts, Layers
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

LIBRARIES = {"flax.nnx": "nnx", "equinox": "equinox", "haiku": "haiku"}
"""The module of a library, with the module here that handles its layers."""


def in_use() -> list[Layers]:
    """The operations on layers of each library that the code of a target has imported."""
    return [
        import_module(f"normcheck.frameworks.jax.{own}").LAYERS
        for name, own in LIBRARIES.items()
        if name in sys.modules
    ]


def _of(target: Any) -> Layers:
    """The operations on a layer that is known to be one."""
    found = next((one for one in in_use() if one.is_layer(target)), None)
    if found is None:
        raise UsageError(f"{type(target).__name__} is no layer of a library of JAX")
    return found


class LibraryLayers:
    """Layers of flax.nnx, Equinox and Haiku (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return any(one.is_layer(target) for one in in_use())

    def is_class(self, target: Any) -> bool:
        return _of(target).is_class(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return _of(target).constructor(target)

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return _of(target).construct(target, args, kwargs)

    def copy(self, layer: Any) -> Any:
        return _of(layer).copy(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return _of(layer).materialized(layer, case, name, normalizer)

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return _of(layer).unexplained(layer, case, name)

    def parts(self, layer: Any) -> LayerParts:
        return _of(layer).parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return _of(layer).sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return _of(sample(build, normalizer)).call(build, name, normalizer)

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return _of(target).of_weight(target)

    def constructed(self, layer: Any, case: Case) -> Constructed:
        return _of(layer).constructed(layer, case)

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        return _of(layer).operations(layer, rebuilt=rebuilt, cumulative=cumulative)

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell | None:
        return _of(target).spell(target, name, binding, shape_as, parameters, normalizer)

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call, as all libraries of JAX do it."""
        return None


LAYERS = LibraryLayers()
