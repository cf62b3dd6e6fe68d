"""numpy as a `Framework` of `frameworks.protocol`: a pair of functions (forward, backward), or a forward alone."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import UsageError
from normcheck.core.floats import FORMATS, Array
from normcheck.core.layouts import NAMES, REVERSED
from normcheck.frameworks.numpy.arrays import in_layout
from normcheck.frameworks.numpy.call import FORMAT_NAMES, BoundFunction, PairCall
from normcheck.frameworks.numpy.exchange import array_library, exchanging, names_module
from normcheck.frameworks.numpy.options import MODES, Options, options_of
from normcheck.frameworks.protocol import FunctionStyle, Layers, Transforming
from normcheck.frameworks.registry import pair
from normcheck.frameworks.roles import Binding, Parameter, bind, from_signature, names_of, plain
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call, ScriptLanguage

NARROW = "ml_dtypes"
"""The package that gives numpy the formats of half precision that it lacks."""


@dataclass(frozen=True, slots=True, eq=False)
class NumpyFunctions:
    """The functions of a target; backward: None for a forward alone. options: the dict that the forward takes."""

    forward: Any
    backward: Any = None
    options: Options | None = None


def _backward(function: Any, normalizer: Normalizer, name: str) -> BoundFunction:
    """A backward with its roles: its first parameter of another name is the cotangent, the next one the cache."""
    parameters = from_signature(function) or []
    options = options_of(function, parameters, normalizer)
    if options is not None:
        parameters = [one for one in parameters if one.name != options.name]
    roles = ("dy", "cache", *normalizer.arguments)
    known = {one for role in roles for one in names_of(normalizer, role)}
    others = [plain(one.name) for one in parameters if one.required and plain(one.name) not in known]
    named = any(plain(one.name) in names_of(normalizer, "dy") for one in parameters)
    more = {"cache": tuple(others[0 if named else 1 :][:1])}
    return BoundFunction(function, bind(parameters, roles, normalizer, name, fallback="dy", more=more), options)


class NumpyFramework:
    """Functions of numpy arrays (`Framework`): a forward with or without a backward function."""

    name = "numpy"
    layouts = (*NAMES[1:], REVERSED)
    styles = (
        FunctionStyle(),
        FunctionStyle(shape_as=int),
        FunctionStyle(always_state=True),
        FunctionStyle(weight_to_broadcast=True),
    )
    uses = ()
    layer_uses = ()
    watched = True
    language: ScriptLanguage | None = None
    layers: Layers | None = None
    absent: ClassVar[Mapping[str, str]] = {}
    compiles_per_shape = False
    untimed = "functions of numpy are not timed"
    form_arrays = None

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(FORMATS) if NARROW in sys.modules else FORMAT_NAMES

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Array:
        return in_layout(values, format, layout)

    def array(self, tensor: Array) -> Array:
        return np.array(tensor, dtype=np.float64)

    def format_of(self, tensor: Array) -> str:
        return str(tensor.dtype.name)

    def accepts(self, target: Any) -> str:
        known = pair(target) is not None or (not inspect.isclass(target) and from_signature(target) is not None)
        return "" if known else f"{type(target).__name__}, not a pair (forward, backward) of numpy functions"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[NumpyFunctions, list[Parameter]]:
        forward, backward = pair(target) or (target, None)
        parameters = from_signature(forward)
        if parameters is None and backward is not None:
            raise UsageError(f"its forward has no named parameters, such as {', '.join(normalizer.arguments)}")
        parameters = parameters or []
        library = None if backward is not None else array_library(forward)
        forward = forward if library is None else exchanging(forward, library)
        options = options_of(forward, parameters, normalizer)
        free = parameters if options is None else options.parameters(parameters)
        return NumpyFunctions(forward, backward, options), free

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        assert isinstance(function_, NumpyFunctions)
        found = function_.backward
        backward = None if found is None else _backward(found, normalizer, f"{name} (backward)")
        forward = BoundFunction(function_.forward, binding, function_.options)
        formats = tuple(FORMATS) if names_module(function_.forward, NARROW) else FORMAT_NAMES
        return PairCall(forward, backward, name, style, formats)

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return {}

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        assert isinstance(function_, NumpyFunctions)
        if function_.backward is None:
            return False
        parameters = from_signature(function_.backward) or []
        modes = {name for role in MODES for name in names_of(normalizer, role)}
        given = any(plain(one.name) in modes for one in parameters)
        return not given and options_of(function_.backward, parameters, normalizer) is None

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        return call

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        return None


FRAMEWORK = NumpyFramework()
