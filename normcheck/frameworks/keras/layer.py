"""Layers of Keras: classes and instances (`Layers`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras

from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.channels import are_moved
from normcheck.frameworks.keras import backends, copies, variables
from normcheck.frameworks.keras.layer_script import spelled
from normcheck.frameworks.keras.ready import Source
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import Binding, Parameter, from_signature
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life


class KerasLayers:
    """keras.layers.Layer classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {"use_bias": ("center",)}

    def is_layer(self, target: Any) -> bool:
        layer = keras.layers.Layer
        return isinstance(target, layer) or (inspect.isclass(target) and issubclass(target, layer))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return (from_signature(target.__init__) or [])[1:]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        return copies.copied(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return copies.complete(layer, case, name, normalizer)

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return variables.parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return variables.sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return backends.calling(Source(build, name, normalizer, {}))

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        return variables.constructed(layer)

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        return {}

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell:
        return lambda case: () if are_moved(normalizer, case) else spelled(name, binding, shape_as, parameters, case)

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call, as `stateless_call` does it."""
        return None


LAYERS = KerasLayers()
