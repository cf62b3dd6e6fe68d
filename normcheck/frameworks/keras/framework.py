"""Keras 3 behind `frameworks.protocol`: its layers are its own, arrays and functions are those of the backend."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.frameworks.forms.form import FormArrays
from normcheck.frameworks.keras import backends
from normcheck.frameworks.keras.layer import LAYERS
from normcheck.frameworks.protocol import FunctionStyle, Layers, Transforming
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call, ScriptLanguage


class KerasFramework:
    """Layers of Keras and functions of its operations, on the backend that is in use (`Framework`)."""

    name = "keras"
    layouts = ()
    watched = False
    layers: Layers | None = LAYERS
    untimed = "code of Keras is not timed"

    @property
    def formats(self) -> tuple[str, ...]:
        return backends.formats()

    @property
    def styles(self) -> tuple[FunctionStyle, ...]:
        return backends.framework().styles

    @property
    def uses(self) -> tuple[str, ...]:
        return backends.framework().uses

    @property
    def layer_uses(self) -> tuple[str, ...]:
        return backends.framework().layer_uses

    @property
    def language(self) -> ScriptLanguage | None:
        return backends.framework().language

    @property
    def absent(self) -> Mapping[str, str]:
        return backends.framework().absent

    @property
    def compiles_per_shape(self) -> bool:
        return backends.framework().compiles_per_shape

    @property
    def form_arrays(self) -> FormArrays | None:
        return backends.framework().form_arrays

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext() if backends.refused() else backends.framework().settings()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        return backends.framework().tensor(values, format, layout)

    def array(self, tensor: Any) -> Array:
        return backends.framework().array(tensor)

    def format_of(self, tensor: Any) -> str:
        return backends.framework().format_of(tensor)

    def accepts(self, target: Any) -> str:
        if refused := backends.refused():
            return refused
        if inspect.isclass(target) and not LAYERS.is_layer(target):
            return "a class, but no keras.layers.Layer: name a function of arrays, or a class of layers"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a keras.layers.Layer"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        return backends.framework().parameters(target, normalizer)

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        made = backends.framework().function(function_, binding, normalizer, name, style)
        return backends.CallInFormats(made, name)

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return {}

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        return False

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        return backends.trial(call)

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        return None


FRAMEWORK = KerasFramework()
