"""The framework numpy: a pair of functions (forward, backward), or a forward function without a backward.

forward returns y or (y, cache). backward takes dy, the cache and any of the forward's arguments by name, and returns
dx, or (dx, dweight, dbias), or a dict with those names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import IN_BACKWARD, CallError, UsageError
from normcheck.core.floats import BFLOAT16, FORMATS, Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.protocol import FunctionStyle, Layers, Transforming
from normcheck.frameworks.registry import pair
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding, Parameter, bind, from_signature
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call, ScriptLanguage

FORMAT_NAMES = tuple(one.name for one in FORMATS.values() if one is not BFLOAT16)

GRADIENTS = {
    "input": ("dx", "grad_x", "grad_input", "dv", "x", "input", "v"),
    "weight": ("dweight", "dgamma", "dw", "dg", "dscale", "grad_weight", "weight", "gamma"),
    "bias": ("dbias", "dbeta", "db", "dshift", "grad_bias", "bias", "beta"),
}


def _run(function: Callable[[], Any], case: Case, name: str, doing: str = "") -> Any:
    """A guarded call in which numpy does not warn about floating-point exceptions such as overflow."""
    with np.errstate(all="ignore"):
        return guarded(function, case, name, doing)


def _checked(value: Any, shape: tuple[int, ...], name: str, what: str) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != shape:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise CallError(f"{name} returned {got} as {what}; expected shape {shape}")
    return value


def _gradients(value: Any, name: str) -> tuple[Any, Any, Any]:
    """dx, dweight and dbias from the return value of a backward function; None for those that it does not return."""
    if isinstance(value, Mapping):
        found = [next((value[key] for key in keys if key in value), None) for keys in GRADIENTS.values()]
        return found[0], found[1], found[2]
    if isinstance(value, tuple):
        padded = (*value, None, None, None)
        return padded[0], padded[1], padded[2]
    return value, None, None


def make(
    forward: Callable[..., Any],
    forward_binding: Binding,
    backward: Callable[..., Any] | None,
    backward_binding: Binding | None,
    name: str,
    style: FunctionStyle,
) -> Call:
    """A call that runs the functions on arrays of the case's format."""

    def call(case: Case, gradient: bool) -> Answer:
        if case.format.name not in FORMAT_NAMES:
            raise CallError(f"{name} works on numpy arrays, and numpy has no {case.format.name}")
        dtype = np.dtype(case.format.name)

        def cast(array: Array | None) -> Array | None:
            return None if array is None else np.array(array, dtype=dtype)

        arrays = {
            "input": cast(case.x), "weight": cast(case.weight), "bias": cast(case.bias),
            "running_mean": cast(case.running_mean), "running_var": cast(case.running_var),
        }  # fmt: skip
        values = role_values(case, style.shape_as) | {role: a for role, a in arrays.items() if a is not None}
        args, kwargs = forward_binding.arguments(values)
        returned = _run(lambda: forward(*args, **kwargs), case, name)
        y, cache = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        y = y[0] if isinstance(y, tuple) else y
        y = _checked(y, case.x.shape, name, "y")
        grads: list[Array | None] = [None, None, None]
        if gradient and backward is not None and backward_binding is not None:
            assert case.dy is not None, "the case has no cotangent"
            backward_values = values | {"dy": cast(case.dy), "cache": cache}
            args, kwargs = backward_binding.arguments(backward_values)
            returned_grads = _gradients(_run(lambda: backward(*args, **kwargs), case, name, IN_BACKWARD), name)
            owners, names = (case.x, case.weight, case.bias), ("dx", "dweight", "dbias")
            for i, (value, owner, what) in enumerate(zip(returned_grads, owners, names, strict=True)):
                if owner is None:
                    continue
                grad = np.zeros(owner.shape) if value is None else np.asarray(value)
                grads[i] = _checked(grad, owner.shape, name, what).astype(np.float64)
        stats = (arrays["running_mean"], arrays["running_var"])
        mean, var = (None if s is None else s.astype(np.float64) for s in stats)
        return Answer(y.astype(np.float64), y.dtype.name, grads[0], grads[1], grads[2], mean, var)

    return call


class NumpyFramework:
    """Functions of numpy arrays (`Framework`): a forward with or without a backward function."""

    name = "numpy"
    formats = FORMAT_NAMES
    layouts = ()
    styles = (FunctionStyle(), FunctionStyle(shape_as=int))
    uses = ()
    layer_uses = ()
    watched = False
    language: ScriptLanguage | None = None
    layers: Layers | None = None
    absent: ClassVar[Mapping[str, str]] = {}
    compiles_per_shape = False
    untimed = "functions of numpy are not timed"

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Array:
        assert layout == "contiguous", "numpy arrays are passed contiguous"
        return np.array(values, dtype=np.dtype(format))

    def array(self, tensor: Array) -> Array:
        return np.array(tensor, dtype=np.float64)

    def format_of(self, tensor: Array) -> str:
        return str(tensor.dtype.name)

    def accepts(self, target: Any) -> str:
        known = pair(target) is not None or (not inspect.isclass(target) and from_signature(target) is not None)
        return "" if known else f"{type(target).__name__}, not a pair (forward, backward) of numpy functions"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        functions = pair(target)
        if functions is None:
            return target, from_signature(target) or []
        parameters = from_signature(functions[0])
        if parameters is None:
            raise UsageError(f"its forward has no named parameters, such as {', '.join(normalizer.arguments)}")
        return functions, parameters

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        if not isinstance(function_, tuple):
            return make(function_, binding, None, None, name, style)
        forward, backward = function_
        roles = ("dy", "cache", *normalizer.arguments)
        backward_binding = bind(from_signature(backward) or [], roles, normalizer, f"{name} (backward)", fallback="dy")
        return make(forward, binding, backward, backward_binding, name, style)

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        return call

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        return None


FRAMEWORK = NumpyFramework()
