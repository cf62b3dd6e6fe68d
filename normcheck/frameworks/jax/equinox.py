"""Layers of Equinox: classes, instances, and pairs of a module and its state.

A module is constructed, or copied, while it is traced, so that its eps and momentum are arguments of the program. Where
its parameters are, which entries of its state are statistics, and whether it takes one example, is found before that.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from normcheck.core.errors import CallError, UsageError
from normcheck.frameworks import layers as binding_of_layers
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.jax import arrays
from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.equinox_module import (
    Held,
    constructed,
    holding,
    modes,
    parts,
    returned_by,
    state_of,
    state_roles,
    written,
    written_state,
)
from normcheck.frameworks.jax.equinox_module import parameters as _parameters
from normcheck.frameworks.jax.equinox_script import spelled
from normcheck.frameworks.jax.examples import CallMapped, Layout, Mapped, layout_of, mapped_call, mapping, takes_one
from normcheck.frameworks.jax.layer import Leaves, Numbers, Prepare, PureLayer, State
from normcheck.frameworks.jax.state_roles import COUNTED, NEVER_LEFT, STATISTICS, StateRoles, fitted
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

FILLED: dict[str, Callable[[], Any]] = {"key": lambda: jax.random.PRNGKey(0), "axis_name": lambda: "batch"}
"""The parameters of a constructor that are given here: random keys, and the name of the mapped axis."""

AVERAGED = (
    "normalizes by running averages in training too (mode='ema', the default of Equinox), so it is no batch norm of a "
    "batch: name it with that option fixed, as in --norm 'batch_norm=equinox.nn:BatchNorm(mode=\"batch\")'"
)
"""Why one mode of a layer of Equinox is not checked: its output depends on the batches before, as it is meant to."""

EXAMPLE = {"one example": "its calls take one example: it is called under jax.vmap"}
"""The note of a module that is not called with a batch."""


def sizes(held: Held) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    own, known = _parameters(held.module), parts(held)
    shapes = [tuple(own[path].shape) for path in (known.weight, known.bias) if path]
    counts = {name: value for name, value in vars(held.module).items() if isinstance(value, int)}
    groups = next((value for name, value in counts.items() if plain(name) in NAMES["num_groups"]), 1)
    if not shapes:
        shape = getattr(held.module, "shape", None)
        shapes = [shape] if isinstance(shape, tuple) and all(isinstance(one, int) for one in shape) else []
    if not shapes:
        return None if groups == 1 else Sizes(None, groups)
    return Sizes(math.prod(shapes[0]), groups, shapes[0])


def preparing(build: Build, name: str, normalizer: Normalizer) -> Prepare:
    """Makes modules from `build` ready for cases."""
    layout = layout_of(normalizer)
    mapped: dict[tuple[Any, ...], Mapped] = {}  # by what decides it, found at its first case
    places: dict[tuple[bool, ...], tuple[LayerParts, StateRoles]] = {}

    def prepare(case: Case) -> PureLayer:
        how = (case.x.ndim, case.normalized, case.units_first)
        there = (case.weight is None, case.bias is None, case.running_mean is None)
        if how not in mapped:
            mapped[how] = guarded(lambda: mapping(_direct(build(case), name), case, layout), case, name)
        if there not in places:
            places[there] = guarded(lambda: _places(build(case)), case, name)
        dtype = arrays.dtype_of(case, "weight")
        known, roles = places[there]
        stateful = case.running_mean is not None

        def run(leaves: Leaves, state: State, numbers: Numbers) -> tuple[Any, State]:
            held = build(case.but(**numbers))
            own = _parameters(held.module)
            given = {known.weight: leaves[1], known.bias: leaves[2]}
            values = {path: fitted(one, own[path], name) for path, one in given.items() if path and one is not None}
            module = written(held.module, values, dtype)
            if held.state is not None:
                statistics = dict(zip(STATISTICS, state, strict=True))
                entries = roles.values(state_of(held), statistics, name)
                held = Held(module, written_state(held, entries, dtype))
            else:
                held = Held(module)
            once = lambda x: returned_by(held, x, name, training=case.training)
            y, after = mapped_call(once, leaves[0], mapped[how])
            if after is None or not stateful:
                return y, state
            now = state_of(Held(module, after))
            mean, var = (
                now[path].reshape(before.shape) if (path := roles.path(role)) else before
                for role, before in zip(STATISTICS, state, strict=True)
            )
            return y, (mean, var)

        key = (case.x.shape, case.normalized, case.groups, case.units_first, case.training, case.part, dtype.name)
        return PureLayer(name, (*key, *there), run)

    return prepare


def _places(held: Held) -> tuple[LayerParts, StateRoles]:
    return parts(held), state_roles(held)


def _direct(held: Held, name: str) -> CallMapped:
    """The outputs of a layer in training, for an input and how its calls are mapped; no weight is zero."""
    shifted = {path: one + 0.5 for path, one in _parameters(held.module).items()}
    nowhere_zero = Held(written(held.module, shifted, jnp.float32), held.state)
    once = lambda x: returned_by(nowhere_zero, x, name, training=True)
    return lambda x, mapped: mapped_call(once, x, mapped)[0]


def _own(target: Any) -> list[Parameter]:
    """The parameters of the constructor, without the option that Equinox has split into two."""
    found = (from_signature(target.__init__) or [])[1:]
    split = any(one.name == "use_weight" for one in found)
    return [one for one in found if one.name != "elementwise_affine" or not split]


class EquinoxLayers:
    """equinox.Module classes, instances, and pairs of a module and its state (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        if isinstance(target, tuple) and len(target) == 2:
            return isinstance(target[0], eqx.Module) and isinstance(target[1], eqx.nn.State)
        return isinstance(target, (eqx.Module, Held)) or (inspect.isclass(target) and issubclass(target, eqx.Module))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        found = _own(target)
        fields = getattr(target, "__dataclass_fields__", {})
        weights = set(NAMES["weight"]) - set(NAMES["affine"])
        held = [one.name for one in found if one.required and one.name in fields and plain(one.name) in weights]
        if held:
            raise UsageError(
                f"{target.__name__} is constructed from the array {held[0]!r}, which is no size: name an instance of "
                f"it, or give it an __init__ that takes the number of units"
            )
        return [replace(one, required=False) if one.name in FILLED else one for one in found]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        found = _own(target)
        given = {one.name for one in found[: len(args)]} | set(kwargs)
        filled = {one.name: FILLED[one.name]() for one in found if one.name in FILLED and one.name not in given
                  and one.required}  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for a static field that holds what is traced
            return holding(target(*args, **kwargs, **filled))

    def copy(self, layer: Any) -> Any:
        """The arrays of a module are replaced and never written to, so that new ones of the same values suffice."""
        module, state = layer if isinstance(layer, tuple) else (layer, None)
        if isinstance(layer, Held):
            module, state = layer.module, layer.state
        copied = jax.tree.map(lambda one: jnp.array(one) if eqx.is_array(one) else one, module)
        return holding(copied) if state is None else Held(copied, jax.tree.map(jnp.array, state))

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        held: Held = layer
        if isinstance(held.module, eqx.nn.BatchNorm) and held.module.mode == "ema":
            raise CallError(f"{name} {AVERAGED}", "in training it normalizes by running averages")
        method = from_signature(type(held.module).__call__) or []
        known = modes(held.module, training=True)
        more = [one for one in method[2:] if one.required and one.name not in known]
        more = more[0 if held.state is None else 1 :]
        if more:
            raise CallError(binding_of_layers.more_inputs(more, name))
        return held

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        takes = takes_one(_direct(layer, name), jnp.asarray(case.x, jnp.float32)) if case.x.ndim > 1 else False
        return (EXAMPLE if takes else {}) | (COUNTED if state_roles(layer).counts else {})

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer if isinstance(layer, Held) else self.copy(layer))

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return JaxCall(preparing(build, name, normalizer))

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        return constructed(layer)

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        return NEVER_LEFT if state_roles(layer).counts else {}

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell:
        build = binding_of_layers.factory(self, target, binding, name, normalizer=normalizer, shape_as=shape_as)
        fixed = set(binding.kwargs) | {one.name for one in _own(target)[: len(binding.args)]}
        filled = [one.name for one in _own(target) if one.name in FILLED and one.required and one.name not in fixed]

        def spell(case: Case) -> tuple[str, ...]:
            held = build(case)
            own = _parameters(held.module)
            shapes = {role: own[path].shape for role, path in parameters.items() if path in own}
            layout = Layout(bool(binding.name("num_channels")), held.state is not None)
            mapped = mapping(_direct(held, name), case, layout)
            mode = modes(held.module, training=case.training)
            return spelled(name, binding, shape_as, parameters, case, filled, shapes, mapped, mode,
                           stateful=held.state is not None)  # fmt: skip

        return spell

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call, as JAX does it."""
        return None


LAYERS = EquinoxLayers()
