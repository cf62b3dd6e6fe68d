"""Layers of mlx.nn: classes and instances, with the parameters and statistics of a case put in their places."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten, tree_unflatten

from normcheck.core.errors import CallError
from normcheck.frameworks.call_source import Spell, array_names, construction, import_lines
from normcheck.frameworks.mlx import arrays
from normcheck.frameworks.mlx.call import STATE, call_of, output_of
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

ROLES = ("weight", "bias", *STATE)


def _held(module: nn.Module) -> dict[str, Any]:
    """Parameters and statistics of a layer and of the layers inside it, by dotted path."""
    return dict(tree_flatten(module.parameters()))


def _number(module: nn.Module, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(module).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(module: nn.Module) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    held = list(_held(module))
    paths = {role: next((path for path in held if plain(path.rpartition(".")[2]) in NAMES[role]), "") for role in ROLES}
    eps = getattr(module, _number(module, "eps") or "eps", None)
    return LayerParts(**paths, momentum=_number(module, "momentum"), eps=eps if isinstance(eps, float) else None)


def _paths(module: nn.Module) -> dict[str, str]:
    """The path of each role that a layer has."""
    known = parts(module)
    return {role: path for role in ROLES if (path := getattr(known, role))}


def sizes(module: nn.Module) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    held, paths = _held(module), _paths(module)
    shapes = [tuple(held[paths[role]].shape) for role in ("weight", "bias") if role in paths]
    units = math.prod(shapes[0]) if shapes else getattr(module, "dims", None)
    groups = getattr(module, "num_groups", 1)
    return Sizes(units, groups, shapes[0] if shapes else (units,)) if isinstance(units, int) else None


def _channels_last(build: Build, case: Case, normalizer: Normalizer, given: Mapping[str, Any]) -> bool:
    """Whether a layer wants its channels in the last axis; one that keeps no sizes is taken to do so, as all of MLX."""
    if normalizer.sets.layout != "channels" or case.x.ndim < 3:
        return False
    module = build(case)
    own = [one.size for path, one in _held(module).items() if path in _paths(module).values()]
    if not own:
        return True
    x = mx.zeros((2, own[0], *(own[0] + i for i in range(2, case.x.ndim))))
    try:
        mx.eval(module(x))
    except Exception:
        return True
    return False


def calling(build: Build, name: str, normalizer: Normalizer) -> Call:
    """A call of layers from `build`."""
    last: dict[int, bool] = {}  # by rank, found at its first case

    def run(case: Case, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if case.x.ndim not in last:
            last[case.x.ndim] = _channels_last(build, case, normalizer, given)
        moved = last[case.x.ndim]
        module, paths = build(case), {}
        module.set_dtype(given["input"].dtype)
        held, paths = _held(module), _paths(module)
        values = {}
        for role, path in paths.items():
            if role in given:
                if held[path].size != given[role].size:
                    needed = f"{given[role].size} numbers are needed"
                    raise CallError(f"{name} has a parameter of shape {held[path].shape} where {needed}")
                values[path] = given[role].reshape(held[path].shape)
        module.update(tree_unflatten(list(values.items())))
        module.train(case.training)
        x = mx.moveaxis(given["input"], 1, -1) if moved else given["input"]
        y = output_of(module(x), x, name)
        after = _held(module)
        state = {
            role: after[paths[role]].reshape(given[role].shape) if role in paths else given[role]
            for role in STATE if role in given
        }  # fmt: skip
        return mx.moveaxis(y, -1, 1) if moved else y, state

    return call_of(run, name)


class MlxLayers:
    """mlx.nn.Module classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return isinstance(target, nn.Module) or (inspect.isclass(target) and issubclass(target, nn.Module))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return (from_signature(target.__init__) or [])[1:]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def copy(self, layer: Any) -> Any:
        """The arrays of a layer are replaced and never written to, so that new ones of the same values suffice."""
        made = copy.copy(layer)
        made.__dict__.update(copy.deepcopy(vars(layer)))
        made.update(tree_unflatten([(path, mx.array(one)) for path, one in _held(layer).items()]))
        return made

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return layer

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return calling(build, name, normalizer)

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
    """A layer as a function of its arrays, and its call; nothing where the input has channels elsewhere."""
    if case.units_first or (case.x.ndim > 2 and binding.name("num_channels")):
        return ()
    lines, called = import_lines(name)
    roles = [role for role in array_names(case) if role in parameters]
    own = ", ".join(["x", *roles])
    return (
        *lines,
        f"def layer({own}):",
        f"    m = {construction(called, binding, case, shape_as)}",
        f"    m.train({case.training})",
        *(f"    m.{parameters[role]} = {role}" for role in roles),
        "    return m(x)",
        f"y = layer({own})",
    )


LAYERS = MlxLayers()
