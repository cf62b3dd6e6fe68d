"""MLX behind `frameworks.protocol`: the one value through which everything else reaches it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import mlx.core as mx

from normcheck.core.floats import Array
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.mlx import arrays
from normcheck.frameworks.mlx.call import of_function
from normcheck.frameworks.mlx.layer import LAYERS
from normcheck.frameworks.mlx.script import MlxScript
from normcheck.frameworks.plain_framework import PlainFramework
from normcheck.frameworks.protocol import FunctionStyle, Layers
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call


class MlxFramework(PlainFramework):
    """Functions of MLX arrays, and layers of mlx.nn (`Framework`)."""

    name = "mlx"
    formats = tuple(arrays.DTYPES)
    language = MlxScript()
    layers: Layers | None = LAYERS
    absent: ClassVar[Mapping[str, str]] = {}
    untimed = "functions of MLX are not timed"

    @contextmanager
    def _on_the_processor(self) -> Iterator[None]:
        before = mx.default_device()
        mx.set_default_device(mx.cpu)  # the only device with float64
        try:
            yield
        finally:
            mx.set_default_device(before)

    def settings(self) -> AbstractContextManager[None]:
        return self._on_the_processor()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        assert layout == "contiguous", "arrays of MLX are contiguous"
        return arrays.tensor(values, format)

    def array(self, tensor: Any) -> Array:
        return arrays.array(tensor)

    def format_of(self, tensor: Any) -> str:
        return arrays.format_of(tensor)

    def accepts(self, target: Any) -> str:
        if inspect.isclass(target) and not LAYERS.is_layer(target):
            return "a class, but no mlx.nn.Module: name a function of arrays, or a class of layers"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a mlx.nn.Module"

    def documented(self, target: Any) -> list[Parameter]:
        return _documented(target)

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return of_function(function_, binding, normalizer, name, style)


def _documented(target: Any) -> list[Parameter]:
    """The parameters of a function that is not written in Python, from the signature that its docstring begins with."""
    first = str(attribute(target, "__doc__", "")).strip().partition("\n")[0]
    try:
        (function,) = ast.parse(f"def {first}: ...").body
    except (SyntaxError, ValueError):
        return []
    if not isinstance(function, ast.FunctionDef):
        return []
    given = function.args
    required = len(given.args) - len(given.defaults)
    return [Parameter(one.arg, i < required, keyword=True) for i, one in enumerate(given.args)]


FRAMEWORK = MlxFramework()
