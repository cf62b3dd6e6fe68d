"""Layers of paddle.nn: classes and instances, with the parameters and statistics of a case put in their places."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from paddle import nn

from normcheck.core.errors import CallError
from normcheck.frameworks.call_source import Spell, array_names, construction, import_lines
from normcheck.frameworks.paddle import arrays
from normcheck.frameworks.paddle.call import LEAVES, STATE, Ran, Tensors, call_of, output_of
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

ROLES = ("weight", "bias", *STATE)
OWN = NAMES | {"running_var": (*NAMES["running_var"], "variance")}
"""The names of roles in its layers: batch norm keeps `_mean` and `_variance`."""


def _held(layer: Any) -> dict[str, Any]:
    """Parameters and buffers of a layer and of the layers inside it, by dotted path."""
    return {**dict(layer.named_parameters()), **dict(layer.named_buffers())}


def _number(layer: Any, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(layer).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(layer: Any) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    held = list(_held(layer))
    paths = {role: next((path for path in held if plain(path.rpartition(".")[2]) in OWN[role]), "") for role in ROLES}
    eps = getattr(layer, _number(layer, "eps") or "eps", None)
    return LayerParts(**paths, momentum=_number(layer, "momentum"), eps=eps if isinstance(eps, float) else None)


def _paths(layer: Any) -> dict[str, str]:
    """The path of each role that a layer has."""
    known = parts(layer)
    return {role: path for role in ROLES if (path := getattr(known, role))}


def sizes(layer: Any) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    held, paths = _held(layer), _paths(layer)
    shapes = [tuple(held[path].shape) for path in paths.values()]
    named = (getattr(layer, name, None) for name in ("_normalized_shape", "_num_channels", "_num_features"))
    shapes += [tuple(one) if isinstance(one, (tuple, list)) else (one,) for one in named if one is not None]
    groups = getattr(layer, "_num_groups", 1)
    return Sizes(math.prod(shapes[0]), groups, shapes[0]) if shapes else None


def _placed(layer: Any, values: Tensors, name: str) -> None:
    """Put the tensors of a case in their places; the whole layer has the format of the input."""
    layer.to(dtype=values["input"].dtype)
    held = _held(layer)
    for role, path in _paths(layer).items():
        if role in values:
            own, value = held[path], values[role]
            if own.size != value.size:
                needed = f"{value.size} numbers are needed"
                raise CallError(f"{name} has a parameter of shape {own.shape} where {needed}")
            own.set_value(value.detach().reshape(own.shape))


def calling(build: Build, name: str) -> Call:
    """A call of layers from `build`."""

    def run(case: Case, given: Tensors) -> Ran:
        layer, x = build(case), given["input"]
        _placed(layer, given, name)
        layer.train() if case.training else layer.eval()
        y = output_of(layer(x), x, name)
        held, paths = _held(layer), _paths(layer)
        own = given | {role: held[path] for role, path in paths.items() if role in given}
        leaves = {role: own[role] for role in LEAVES if role in own}
        return Ran(y, leaves, {role: own[role] for role in STATE if role in own})

    return call_of(run, name)


class PaddleLayers:
    """paddle.nn.Layer classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return isinstance(target, nn.Layer) or (inspect.isclass(target) and issubclass(target, nn.Layer))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return (from_signature(target.__init__) or [])[1:]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        return copy.deepcopy(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return layer

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return calling(build, name)

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        held, paths = _held(layer), _paths(layer)
        weight, bias, mean, var = (arrays.array(held[paths[role]]) if role in paths else None for role in ROLES)
        return Constructed(weight, bias, mean, var)

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
        return lambda case: spelled(name, binding, shape_as, parameters, case)

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call."""
        return None


def spelled(name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], case: Case) -> tuple[str, ...]:
    """Construction of a layer, its parameters, and its call."""
    if case.units_first:
        return ()
    lines, called = import_lines(name)
    assigned = (
        f"m.{parameters[role]}.set_value({role})" + (f"; {role} = m.{parameters[role]}" if role in LEAVES else "")
        for role in array_names(case)
        if role in parameters
    )
    return (
        *lines,
        f"m = {construction(called, binding, case, shape_as)}",
        f"m.to(dtype=x.dtype); m.{'train' if case.training else 'eval'}()",
        *assigned,
        "y = m(x)",
    )


LAYERS = PaddleLayers()
