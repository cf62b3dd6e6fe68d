"""TensorFlow behind `frameworks.protocol`: the one value through which everything else reaches it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.plain_framework import PlainFramework
from normcheck.frameworks.protocol import FunctionStyle, Layers
from normcheck.frameworks.roles import Binding, Parameter, from_signature
from normcheck.frameworks.tensorflow import arrays
from normcheck.frameworks.tensorflow.call import USES, call_of
from normcheck.frameworks.tensorflow.forms import TensorflowFormArrays
from normcheck.frameworks.tensorflow.function import by_position, preparing
from normcheck.frameworks.tensorflow.module import LAYERS
from normcheck.frameworks.tensorflow.script import TensorflowScript
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call

DECORATED = "_tf_decorator"
"""The attribute of functions that a decorator of TensorFlow has made, such as tf.custom_gradient."""

LEGACY = "tf_keras"
"""The package with the layers of Keras 2."""


class TensorflowFramework(PlainFramework):
    """Functions of TensorFlow's tensors, and layers that are a tf.Module (`Framework`)."""

    name = "tensorflow"
    formats = tuple(arrays.DTYPES)
    uses = USES
    layer_uses = USES
    language = TensorflowScript()
    layers: Layers | None = LAYERS
    untimed = "functions of TensorFlow are not timed"
    form_arrays = TensorflowFormArrays()

    @functools.cached_property
    def absent(self) -> Mapping[str, str]:
        formats = arrays.flushed()
        return {"subnormal numbers": f"TensorFlow makes them zero in {', '.join(formats)}"} if formats else {}

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        assert layout == "contiguous", "tensors of TensorFlow are contiguous"
        return arrays.tensor(values, format)

    def array(self, tensor: Any) -> Array:
        return arrays.array(tensor)

    def format_of(self, tensor: Any) -> str:
        return arrays.format_of(tensor)

    def accepts(self, target: Any) -> str:
        own = target if inspect.isclass(target) else type(target)
        if any(base.__module__.partition(".")[0] == LEGACY for base in own.__mro__):
            return f"a layer of Keras 2 ({LEGACY}), which is not called: name the keras.layers class of that name"
        if inspect.isclass(target) and not LAYERS.is_layer(target):
            return "a class, but no tf.Module: name a function of tensors, or a class of layers"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a tf.Module that can be called"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        found = from_signature(target)
        if found is None:
            raise UsageError(f"it has no named parameters, such as {', '.join(normalizer.arguments)}")
        return target, by_position(found) if attribute(target, DECORATED) is not None else found

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return call_of(preparing(function_, binding, normalizer, name, style), name)


FRAMEWORK = TensorflowFramework()
