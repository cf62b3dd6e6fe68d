"""torch as a `Framework` of `frameworks.protocol`: the value through which all other code uses it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.layouts import NAMES
from normcheck.core.uses import ALL, OF_FUNCTIONS
from normcheck.frameworks import call_source
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.protocol import Build, FunctionStyle, LayerParts, Transforming
from normcheck.frameworks.roles import Binding, Parameter, from_signature
from normcheck.frameworks.torch import (
    changing,
    composition,
    function,
    life,
    module,
    scripted,
    tensors,
    transform,
    weight_layers,
)
from normcheck.frameworks.torch.forms import TorchFormArrays
from normcheck.frameworks.torch.script import TorchScript
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life


class TorchLayers:
    """torch.nn.Module classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return module.is_module(target)

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return from_signature(target) or []

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        return module.copied(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return changing.materialized(layer, case, name)

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return changing.unexplained(layer, case, name)

    def parts(self, layer: Any) -> LayerParts:
        return module.parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return module.sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return module.make(build, name)

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return weight_layers.as_function(target)

    def constructed(self, layer: Any, case: Case) -> Constructed:
        return module.constructed(layer, case)

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        return life.operations(layer, rebuilt=rebuilt, cumulative=cumulative)

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell:
        return call_source.of_module(name, binding, shape_as, parameters, TorchScript().moved)

    def live(self, build: Build, name: str) -> Callable[[Case], Life]:
        return life.factory(build, name)


class TorchFramework:
    """Functions of torch tensors, modules, and functions that transform modules (`Framework`)."""

    name = "torch"
    formats = tuple(tensors.DTYPES)
    layouts = NAMES[1:]
    styles = (
        FunctionStyle(),
        FunctionStyle(shape_as=int),
        FunctionStyle(always_state=True),
        FunctionStyle(flat_weight=True),
    )
    uses = OF_FUNCTIONS
    layer_uses = ALL
    watched = True
    language = TorchScript()
    layers = TorchLayers()
    absent: ClassVar[Mapping[str, str]] = {}
    compiles_per_shape = False
    untimed = ""
    form_arrays = TorchFormArrays()

    @contextmanager
    def settings(self) -> Iterator[None]:
        with tensors.one_thread(), torch.inference_mode(mode=False), torch.enable_grad():  # the caller may have none
            yield

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> torch.Tensor:
        return tensors.tensor_in_layout(values, tensors.DTYPES[format], layout)[0]

    def array(self, tensor: torch.Tensor) -> Array:
        return tensors.array(tensor)

    def format_of(self, tensor: torch.Tensor) -> str:
        return tensors.format_of(tensor)

    def accepts(self, target: Any) -> str:
        if not callable(target):
            return (
                f"{type(target).__name__}, not a function, a torch.nn.Module class or instance, "
                "or a pair (forward, backward) of numpy functions"
            )
        known = self.layers.is_layer(target) or (
            inspect.isclass(target) and issubclass(target, torch.autograd.Function)
        )
        if inspect.isclass(target) and not known:
            return "a class, but no torch.nn.Module: name a function, or a method of an instance"
        return ""

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Callable[..., Any], list[Parameter]]:
        return function.callable_and_parameters(target, normalizer)

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        return function.make(function_, binding, name, style)

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return scripted.unsupported(target)

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        return False

    def composition(self, normalizer: Normalizer, contract: Contract) -> Call:
        return composition.call(normalizer, contract)

    def trial(self, call: Call) -> Call:
        return call

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming:
        return Transforming(
            transform.make(function_, binding, name), transform.USES, transform.factory(function_, binding, name)
        )


FRAMEWORK = TorchFramework()
