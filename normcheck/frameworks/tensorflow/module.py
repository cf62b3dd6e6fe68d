"""Layers that are a tf.Module: classes and instances, with the arrays of a case in their variables."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import tensorflow as tf

from normcheck.core.errors import CallError
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.channels import are_moved, channels_last, of_layout
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.frameworks.tensorflow import arrays
from normcheck.frameworks.tensorflow.call import LEAVES, STATE, Prepare, Ready, call_of, output_of
from normcheck.frameworks.tensorflow.module_script import spelled
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

ROLES = ("weight", "bias", *STATE)


def _held(module: tf.Module, before: str = "") -> Iterator[tuple[str, tf.Module, str, Any]]:
    """The variables of a module and of the modules inside it: dotted path, owner, name in it, and the variable."""
    for name, value in vars(module).items():
        if isinstance(value, tf.Variable):
            yield f"{before}{name}", module, name, value
        elif isinstance(value, tf.Module):
            yield from _held(value, f"{before}{name}.")


def _variables(module: tf.Module) -> dict[str, Any]:
    return {path: variable for path, _, _, variable in _held(module)}


def _number(module: tf.Module, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(module).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(module: tf.Module) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    held = list(_variables(module))
    paths = {role: next((path for path in held if plain(path.rpartition(".")[2]) in NAMES[role]), "") for role in ROLES}
    eps = getattr(module, _number(module, "eps") or "eps", None)
    return LayerParts(**paths, momentum=_number(module, "momentum"), eps=eps if isinstance(eps, float) else None)


def _paths(module: tf.Module) -> dict[str, str]:
    """The path of each role that a module has."""
    known = parts(module)
    return {role: path for role in ROLES if (path := getattr(known, role))}


def sizes(module: tf.Module) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    held, paths = _variables(module), _paths(module)
    shapes = [tuple(held[path].shape) for path in paths.values()]
    groups = getattr(module, _number(module, "num_groups") or "num_groups", 1)
    return Sizes(math.prod(shapes[0]), int(groups), shapes[0]) if shapes else None


def _in_format(module: tf.Module, format: str) -> None:
    """Give every variable a format: a layer is wholly in one, as a module of torch after .to(dtype)."""
    dtype = arrays.DTYPES[format]
    for _, owner, name, one in list(_held(module)):
        if one.dtype.is_floating and one.dtype != dtype:
            setattr(owner, name, tf.Variable(tf.cast(one, dtype), trainable=one.trainable, name=name))


def _mode(module: tf.Module, case: Case) -> dict[str, bool]:
    """The argument that tells a call whether it trains, where it takes one."""
    taken = (one.name for one in (from_signature(type(module).__call__) or [])[1:])
    return {name: case.training for name in taken if plain(name) in NAMES["training"]}


def _works(module: tf.Module, case: Case) -> Callable[[tuple[int, ...]], bool]:
    def works(shape: tuple[int, ...]) -> bool:
        try:
            returned = module(tf.zeros(shape), **_mode(module, case))
        except Exception:
            return False
        return bool(tf.nest.flatten(returned)[0].shape == shape)

    return works


def preparing(build: Build, name: str, normalizer: Normalizer) -> Prepare:
    """Makes modules from `build` ready for cases."""
    last: dict[int, bool] = {}  # whether the channels are in the last axis, by rank, found at its first case

    def prepare(case: Case, given: dict[str, Any]) -> Ready:
        if case.x.ndim not in last:
            module = build(case)
            units = sizes(module)
            works = _works(module, case)
            last[case.x.ndim] = channels_last(normalizer, case, None if units is None else units.units, works)
        moved = last[case.x.ndim]
        module = build(case)
        _in_format(module, case.format.name)
        held, paths = _variables(module), _paths(module)
        for role, path in paths.items():
            if role in given:
                if held[path].shape.num_elements() != given[role].shape.num_elements():
                    needed = f"{given[role].shape.num_elements()} numbers are needed"
                    raise CallError(f"{name} has a parameter of shape {tuple(held[path].shape)} where {needed}")
                held[path].assign(tf.reshape(given[role], held[path].shape))
        own = {role: held[path] for role, path in paths.items()}
        leaves = {
            role: given[role] if role == "input" else own.get(role, given[role]) for role in LEAVES if role in given
        }

        def forward() -> tuple[Any, dict[str, Any]]:
            x = tf.experimental.numpy.moveaxis(given["input"], 1, -1) if moved else given["input"]
            y = output_of(module(x, **_mode(module, case)), x, name)
            state = {role: own[role].read_value() if role in own else given[role] for role in STATE if role in given}
            state = {role: tf.reshape(one, given[role].shape) for role, one in state.items()}
            return tf.experimental.numpy.moveaxis(y, -1, 1) if moved else y, state

        return Ready(leaves, forward)

    return prepare


class TensorflowLayers:
    """tf.Module classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return isinstance(target, tf.Module) or (inspect.isclass(target) and issubclass(target, tf.Module))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return (from_signature(target.__init__) or [])[1:]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        return copy.deepcopy(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        """A module without variables is called once: many make them in their first call, for its last axis."""
        if not _variables(layer):
            x = tf.zeros(of_layout(normalizer, case, last=True))
            guarded(lambda: layer(x, **_mode(layer, case)), case, name, " in the call that makes its variables")
        return layer

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return call_of(preparing(build, name, normalizer), name)

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        held, paths = _variables(layer), _paths(layer)
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
        return lambda case: () if are_moved(normalizer, case) else spelled(name, binding, shape_as, parameters, case)

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call."""
        return None


LAYERS = TensorflowLayers()
