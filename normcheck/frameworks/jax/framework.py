"""JAX behind `frameworks.protocol`: the one value through which everything else reaches it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax.numpy as jnp

from normcheck.core.contract import Contract
from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.frameworks.jax import arrays
from normcheck.frameworks.jax.bodies import BODIES
from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.forms import JaxFormArrays
from normcheck.frameworks.jax.function import preparing
from normcheck.frameworks.jax.libraries import LAYERS, in_use
from normcheck.frameworks.jax.script import JaxScript
from normcheck.frameworks.protocol import FunctionStyle, Layers, Transforming
from normcheck.frameworks.roles import Binding, Parameter, from_signature
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call

KINDS = "flax.nnx.Module, equinox.Module or haiku.Module"
"""The layers that are accepted, for messages."""


class JaxFramework:
    """Functions of JAX arrays, and layers of flax.nnx, Equinox and Haiku (`Framework`)."""

    name = "jax"
    formats = tuple(arrays.DTYPES)
    layouts = ()
    styles = (
        FunctionStyle(),
        FunctionStyle(shape_as=int),
        FunctionStyle(always_state=True),
        FunctionStyle(flat_weight=True),
    )
    uses = tuple(use for use in BODIES if use != "plain")
    layer_uses = uses
    watched = False
    language = JaxScript()
    compiles_per_shape = True
    untimed = "functions of JAX are not timed"
    form_arrays = JaxFormArrays()

    @property
    def layers(self) -> Layers | None:
        """A library of layers is used only where the target's own module has imported it."""
        return LAYERS if in_use() else None

    @functools.cached_property
    def absent(self) -> Mapping[str, str]:
        formats = arrays.flushed()
        return {"subnormal numbers": f"XLA makes them zero in {', '.join(formats)}"} if formats else {}

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Any:
        assert layout == "contiguous", "arrays of JAX are contiguous"
        with arrays.precision(format):
            return jnp.asarray(values, arrays.DTYPES[format])

    def array(self, tensor: Any) -> Array:
        return arrays.array(tensor)

    def format_of(self, tensor: Any) -> str:
        return arrays.format_of(tensor)

    def accepts(self, target: Any) -> str:
        if self.layers is not None and self.layers.is_layer(target):
            return ""
        if inspect.isclass(target):
            return f"a class, but no {KINDS}: name a function of arrays, or such a class"
        if any(base.__module__.startswith("flax.linen") for base in type(target).__mro__):
            return "a flax.linen module: name the flax.nnx class of that name, or a function of input and parameters"
        return "" if callable(target) else f"{type(target).__name__}, not a function or a {KINDS}"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Any, list[Parameter]]:
        found = from_signature(target)
        if found is None:
            raise UsageError(f"it has no named parameters, such as {', '.join(normalizer.arguments)}")
        return target, found

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return JaxCall(preparing(function_, binding, normalizer, name, style))

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return {}

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        return False

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        assert isinstance(call, JaxCall)
        return call.traced

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        return None


FRAMEWORK = JaxFramework()
