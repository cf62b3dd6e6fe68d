"""Layers of flax as functions of one shard: made in the format of the shard, filled with its parameters, and called.

A layer that is told the name of its axis is made without it where it is only looked at: outside of the devices there is
no such axis.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normcheck.core.errors import UsageError
from normcheck.core.floats import FORMATS
from normcheck.core.foreign_code import ENDS, first_line
from normcheck.families.synchronized.entry import Synchronized
from normcheck.frameworks.fixed import Fixed, fixed
from normcheck.frameworks.roles import NAMES, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

AXIS_NAMES = ("axis_name", "axis_names", "mesh_axis", "axis")
"""Names of the parameter by which code is told the named axis, the surest first."""

BUILT = {
    "axis_name": AXIS_NAMES[:-1],  # a layer's `axis` is that of its features
    "units": (*NAMES["num_channels"], *NAMES["normalized_shape"]),
    "eps": NAMES["eps"],
    "momentum": NAMES["momentum"],
}
"""The roles of a constructor's parameters."""

BY_STATISTICS = "use_running_average"
"""How flax says that a layer is evaluated, in its constructor or in its call."""

HELD = ("weight", "bias", "running_mean", "running_var")
"""What a layer holds itself; the last two are its statistics."""

Function = Callable[..., Any]
Roles = dict[str, Parameter]

SIZES = (2, 6, 5, 7)
"""An input whose axes differ in size, so that a layer shows of which one it has parameters."""


def as_function(target: Any, entry: Synchronized, name: str) -> tuple[Function, Roles] | None:
    """A class of flax as a function of a shard, which takes values by role; None for what is no such class.

    The function returns its output, and after it the running mean and variance where the layer keeps them. Raises
    `UsageError` if the class cannot be constructed, and for a layer that is made already.
    """
    made = fixed(target)
    own = made.inner if inspect.isclass(made.inner) else type(made.inner)
    for module, function in (("flax.nnx", _of_nnx), ("flax.linen", _of_linen)):
        if module in sys.modules and issubclass(own, sys.modules[module].Module):
            if own is not made.inner:
                said = "name its class, with its arguments as in flax.nnx:BatchNorm(use_fast_variance=False)"
                raise UsageError(f"{name} is a layer that is made already: {said}")
            return function(made, entry, name)
    return None


@dataclass(frozen=True, slots=True)
class _Constructor:
    """A class, and the names of its parameters by role. construct: with arguments by name."""

    made: Fixed
    names: Mapping[str, str]
    construct: Callable[[Any, list[Any], dict[str, Any]], Any]

    def of(self, values: Mapping[str, Any]) -> Any:
        """A new layer, from values by role; those of other roles are left out."""
        given = {name: values[role] for role, name in self.names.items() if role in values}
        return self.construct(self.made.inner, list(self.made.args), {**self.made.kwargs, **given})

    def apart(self, values: Mapping[str, Any]) -> Any:
        """The same without the name of an axis, not even one that its target has fixed."""
        silenced = {name: None for name in self.made.kwargs if plain(name) in BUILT["axis_name"]}
        given = {name: values[role] for role, name in self.names.items() if role in values and role != "axis_name"}
        return self.construct(self.made.inner, list(self.made.args), {**self.made.kwargs, **silenced, **given})


def _names(made: Fixed, parameters: list[Parameter], entry: Synchronized, name: str) -> dict[str, str]:
    """The parameter of each role. Raises `UsageError` for a required one that has none.

    Over the axis that it is told a layer shares its statistics: one that has whole rows is told none.
    """
    out: dict[str, str] = {}
    silent = () if entry.divides_sets else BUILT["axis_name"]
    for one in made.free(parameters):
        if plain(one.name) in silent and not one.required:
            continue
        role = next((role for role, some in BUILT.items() if plain(one.name) in some and role not in out), "")
        if role:
            out[role] = one.name
        elif one.required:
            raise UsageError(f"{name} requires {one.name}, which is no part of this kind; known: {', '.join(BUILT)}")
    return out


def _roles(names: Mapping[str, str], held: Mapping[str, bool]) -> Roles:
    """The roles of what the function takes."""
    statistics = held["running_mean"] and held["running_var"]
    some = ["input", *(role for role in HELD if held[role]), *(["training"] if statistics else []),
            *(role for role in ("eps", "momentum", "axis_name") if role in names)]  # fmt: skip
    return {role: Parameter(role, required=False, keyword=True) for role in some}


def _looked_at(look: Callable[[], dict[str, bool]], name: str) -> dict[str, bool]:
    """What a layer holds. Raises `UsageError` for one that cannot be constructed."""
    try:
        return look()
    except ENDS:
        raise
    except BaseException as error:  # what user code raises has any type
        raise UsageError(f"{name} cannot be constructed: {first_line(error)}") from error


def _of_nnx(made: Fixed, entry: Synchronized, name: str) -> tuple[Function, Roles]:
    nnx = import_module("normcheck.frameworks.jax.nnx")
    constructor = _Constructor(
        made, _names(made, nnx.LAYERS.constructor(made.inner), entry, name), nnx.LAYERS.construct
    )
    normalizer: Normalizer = entry.normalizer

    def look() -> dict[str, bool]:
        known = nnx.LAYERS.parts(constructor.apart({"units": 2}))
        return {role: bool(getattr(known, role)) for role in HELD}

    held = _looked_at(look, name)

    def function(**values: Any) -> Any:
        x = values["input"]
        numbers = {role: values.get(role, 0.0) for role in ("eps", "momentum")}  # 0: it has none of its own

        def build(case: Case) -> Any:
            units = case.x.shape[1 if entry.state else -1]
            own = {"eps": case.eps, "momentum": case.momentum, "axis_name": values.get("axis_name")}
            return constructor.of({"units": units, **own})

        case = Case(
            np.zeros(x.shape), **numbers, format=FORMATS[x.dtype.name], training=values.get("training", True),
            running_mean=np.zeros(1) if held["running_mean"] else None,
        )  # fmt: skip
        state = tuple(values.get(role) for role in HELD[2:])
        leaves = (x, values.get("weight"), values.get("bias"))
        layer = nnx.preparing(build, name, normalizer)(case)
        y, after = layer.run(leaves, state, numbers)
        return (y, *after) if held["running_mean"] else y

    return function, _roles(constructor.names, held)


def _of_linen(made: Fixed, entry: Synchronized, name: str) -> tuple[Function, Roles]:
    def construct(class_: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return class_(*args, **kwargs)

    own = [one for one in from_signature(made.inner) or [] if one.name not in ("parent", "name")]
    constructor = _Constructor(made, _names(made, own, entry, name), construct)
    calling = {one.name for one in from_signature(made.inner.__call__) or []}
    in_constructor = BY_STATISTICS not in calling and any(one.name == BY_STATISTICS for one in made.free(own))

    def mode(training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the constructor and the call are told of it."""
        said = {one: training for one in calling if one in NAMES["training"]}
        said |= {one: not training for one in calling if one == BY_STATISTICS}
        return {BY_STATISTICS: not training} if in_constructor else {}, said

    def initial(x: Any) -> Any:
        """The variables of a new layer."""
        constructed, called = mode(True)
        layer = constructor.apart({"units": x.shape[-1]}).clone(**constructed)
        return layer.init(jax.random.key(0), x, **called)

    def look() -> dict[str, bool]:
        made_of = jax.eval_shape(initial, jax.ShapeDtypeStruct(SIZES, jnp.float32))
        found = {_role(path): one.shape for path, one in jax.tree_util.tree_leaves_with_path(made_of)}
        last[:] = [entry.state and (SIZES[-1],) in found.values()]
        return {role: role in found for role in HELD}

    last: list[bool] = []  # whether it has its channels in the last axis
    held = _looked_at(look, name)

    def function(**values: Any) -> Any:
        x = jnp.moveaxis(values["input"], 1, -1) if last[0] else values["input"]

        def filled(path: Any, one: Any) -> Any:
            value = values.get(_role(path))
            return one if value is None else value.reshape(one.shape)

        constructed, called = mode(values.get("training", True))
        given = {"units": x.shape[-1], **{role: values.get(role) for role in ("eps", "momentum", "axis_name")}}
        variables = jax.tree_util.tree_map_with_path(filled, initial(x))
        layer = constructor.of(given).clone(**constructed)
        y, after = layer.apply(variables, x, mutable=[one for one in variables if one != "params"], **called)
        kept = {_role(path): one for path, one in jax.tree_util.tree_leaves_with_path(after)}
        y = jnp.moveaxis(y, -1, 1) if last[0] else y
        return (y, *(kept.get(role, values.get(role)) for role in HELD[2:])) if held["running_mean"] else y

    return function, _roles(constructor.names, held)


def _role(path: Any) -> str:
    """The role of a variable by its name, the last word of its path; parameters and statistics are told by it."""
    word = plain(str(getattr(path[-1], "key", path[-1])))
    return next((role for role in HELD if word in NAMES[role]), word)
