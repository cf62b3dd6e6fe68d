"""Layers as tinygrad.nn has them: plain classes with a `__call__`, whose attributes hold tensors."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tinygrad import Tensor
from tinygrad.engine.jit import _TinyJit as TinyJit
from tinygrad.nn.state import get_state_dict

from normcheck.core.errors import CallError
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.call_source import Spell, array_names, construction, import_lines
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.frameworks.tinygrad import arrays
from normcheck.frameworks.tinygrad.call import STATE, Tensors, TinygradCall, output_of
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Constructed, Life

ROLES = ("weight", "bias", *STATE)
NOT_LAYERS = (Tensor, TinyJit, functools.partial, BaseException)
"""What has a `__call__` or holds tensors, and is no layer."""


def _number(layer: Any, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(layer).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(layer: Any) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    held = list(get_state_dict(layer))
    paths = {role: next((path for path in held if plain(path.rpartition(".")[2]) in NAMES[role]), "") for role in ROLES}
    eps = getattr(layer, _number(layer, "eps") or "eps", None)
    return LayerParts(**paths, momentum=_number(layer, "momentum"), eps=eps if isinstance(eps, float) else None)


def _paths(layer: Any) -> dict[str, str]:
    """The path of each role that a layer has."""
    known = parts(layer)
    return {role: path for role in ROLES if (path := getattr(known, role))}


def sizes(layer: Any) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    held, paths = get_state_dict(layer), _paths(layer)
    shapes = [tuple(held[paths[role]].shape) for role in ("weight", "bias") if role in paths]
    named = (getattr(layer, name, None) for name in ("normalized_shape", "num_channels", "num_features"))
    shapes += [tuple(one) if isinstance(one, (tuple, list)) else (one,) for one in named if one is not None]
    shape = next(iter(shapes), None)
    groups = getattr(layer, "num_groups", 1)
    if shape is None or not all(isinstance(one, int) for one in shape):
        return None
    return Sizes(math.prod(shape), groups if isinstance(groups, int) else 1, shape)


def _placed(layer: Any, values: Tensors, dtype: Any, name: str) -> None:
    """Put the tensors of a case in their places, and every other tensor of the layer in the same format."""
    held, paths = get_state_dict(layer), _paths(layer)
    for role, path in paths.items():
        if role in values:
            own, value = held.pop(path), values[role]
            if own.numel() != value.numel():
                needed = f"{value.numel()} numbers are needed"
                raise CallError(f"{name} has a parameter of shape {own.shape} where {needed}")
            own.replace(value if own.shape == value.shape else value.reshape(own.shape))
    for own in held.values():
        if own.is_floating_point() and own.dtype != dtype:
            own.replace(own.cast(dtype).contiguous())


def calling(build: Build, name: str, normalizer: Normalizer) -> TinygradCall:
    """A call of layers from `build`."""

    def run(case: Case, given: Tensors) -> tuple[Any, Tensors]:
        layer, x = build(case), given["input"]
        _placed(layer, given, x.dtype, name)
        y = output_of(layer(x), x, name)
        held, paths = get_state_dict(layer), _paths(layer)
        state = {role: held[paths[role]] if role in paths else given[role] for role in STATE if role in given}
        return y, state

    return TinygradCall(run, name)


def is_jit(target: Any) -> bool:
    """Whether a target is a function under TinyJit."""
    return isinstance(target, TinyJit)


def _own_call(target: Any) -> bool:
    """Whether objects of a class are called by a function written in Python."""
    return inspect.isfunction(attribute(target, "__call__"))  # the function, not the test


class TinygradLayers:
    """Classes with a `__call__`, and their instances that hold tensors (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        if inspect.isclass(target):
            return _own_call(target) and not issubclass(target, NOT_LAYERS)
        if inspect.isroutine(target) or isinstance(target, NOT_LAYERS) or not _own_call(type(target)):
            return False
        of_tinygrad = any(base.__module__.startswith("tinygrad.nn") for base in type(target).__mro__)
        return of_tinygrad or bool(get_state_dict(target))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return (from_signature(target.__init__) or [])[1:]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        """Its tensors are new ones: a layer assigns to those that hold its running statistics."""
        own = {id(one): one for one in get_state_dict(layer).values()}
        return copy.deepcopy(layer, {number: _copied(one) for number, one in own.items()})

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return layer

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> TinygradCall:
        return calling(build, name, normalizer)

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        held, paths = get_state_dict(layer), _paths(layer)
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


def _copied(tensor: Any) -> Any:
    """A tensor of the same values on the device that is in use, which may be another one than it was made on."""
    if tensor.is_floating_point():
        made = arrays.tensor(arrays.array(tensor), arrays.format_of(tensor))
    else:
        made = Tensor(tensor.numpy(), dtype=tensor.dtype)
    return made.is_param_(tensor.is_param)


def spelled(name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], case: Case) -> tuple[str, ...]:
    """A layer as a function of its tensors, and its call."""
    if case.units_first:
        return ()
    lines, called = import_lines(name)
    roles = [role for role in array_names(case) if role in parameters]
    own = ", ".join(["x", *roles])
    return (
        *lines,
        "from tinygrad.helpers import Context",
        f"def layer({own}):",
        f"    m = {construction(called, binding, case, shape_as)}",
        *(f"    m.{parameters[role]} = {role}" for role in roles),
        f"    with Context(TRAINING={int(case.training)}):",
        "        return m(x)",
        f"y = layer({own})",
    )


LAYERS = TinygradLayers()
