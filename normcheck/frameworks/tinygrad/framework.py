"""tinygrad behind `frameworks.protocol`: the one value through which everything else reaches it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from normcheck.core.floats import Array
from normcheck.frameworks.plain_framework import PlainFramework
from normcheck.frameworks.protocol import FunctionStyle, Layers
from normcheck.frameworks.roles import Binding
from normcheck.frameworks.tinygrad import arrays, device
from normcheck.frameworks.tinygrad.call import TinygradCall, of_function
from normcheck.frameworks.tinygrad.layer import LAYERS, is_jit
from normcheck.frameworks.tinygrad.script import TinygradScript
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call


class TinygradFramework(PlainFramework):
    """Functions of tinygrad's tensors, and layers as tinygrad.nn has them (`Framework`)."""

    name = "tinygrad"
    language = TinygradScript()
    layers: Layers | None = LAYERS
    compiles_per_shape = True
    untimed = "functions of tinygrad are not timed"

    @property
    def formats(self) -> tuple[str, ...]:
        return device.formats()

    @property
    def absent(self) -> Mapping[str, str]:
        formats = device.flushed()
        return {"subnormal numbers": f"{device.chosen()} makes them zero in {', '.join(formats)}"} if formats else {}

    def settings(self) -> AbstractContextManager[None]:
        return device.settings()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        assert layout == "contiguous", "tensors of tinygrad are contiguous"
        return arrays.tensor(values, format)

    def array(self, tensor: Any) -> Array:
        return arrays.array(tensor)

    def format_of(self, tensor: Any) -> str:
        return arrays.format_of(tensor)

    def accepts(self, target: Any) -> str:
        if is_jit(target):
            return "a TinyJit, which replays the kernels of one shape: name the function in it, as in mine.py:f.fxn"
        if inspect.isclass(target) and not LAYERS.is_layer(target):
            return "a class without a __call__: name a function of tensors, or a class as those of tinygrad.nn"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a layer of tinygrad"

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return of_function(function_, binding, normalizer, name, style)

    def trial(self, call: Call) -> Call:
        assert isinstance(call, TinygradCall)
        return call.described


FRAMEWORK = TinygradFramework()
