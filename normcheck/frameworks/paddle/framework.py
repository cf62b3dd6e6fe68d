"""PaddlePaddle behind `frameworks.protocol`: the one value through which everything else reaches it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import paddle

from normcheck.core.floats import Array
from normcheck.frameworks.paddle import arrays
from normcheck.frameworks.paddle.call import of_function
from normcheck.frameworks.paddle.layer import LAYERS
from normcheck.frameworks.paddle.script import PaddleScript
from normcheck.frameworks.plain_framework import PlainFramework
from normcheck.frameworks.protocol import FunctionStyle, Layers
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call


class PaddleFramework(PlainFramework):
    """Functions of PaddlePaddle's tensors, and layers of paddle.nn (`Framework`)."""

    name = "paddle"
    formats = arrays.FORMATS
    language = PaddleScript()
    layers: Layers | None = LAYERS
    absent: ClassVar[Mapping[str, str]] = {}
    untimed = "functions of PaddlePaddle are not timed"

    @contextmanager
    def _on_the_processor(self) -> Iterator[None]:
        before = paddle.get_device()
        paddle.set_device("cpu")
        try:
            yield
        finally:
            paddle.set_device(before)

    def settings(self) -> AbstractContextManager[None]:
        return self._on_the_processor()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        assert layout == "contiguous", "tensors are made contiguous"
        return arrays.tensor(values, format)

    def array(self, tensor: Any) -> Array:
        return arrays.array(tensor)

    def format_of(self, tensor: Any) -> str:
        return arrays.format_of(tensor)

    def accepts(self, target: Any) -> str:
        if inspect.isclass(target) and not LAYERS.is_layer(target):
            return "a class, but no paddle.nn.Layer: name a function of tensors, or a class of layers"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a paddle.nn.Layer"

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return of_function(function_, binding, normalizer, name, style)


FRAMEWORK = PaddleFramework()
