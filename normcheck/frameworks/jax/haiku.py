"""Layers of Haiku: module classes, and what `hk.transform` or `hk.transform_with_state` made of a function.

Parameters and statistics of a case are put in their places in the trees that the first call of a module makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import haiku as hk
import jax.numpy as jnp

from normcheck.core.errors import CallError
from normcheck.core.foreign_code import ENDS
from normcheck.frameworks import layers as binding_of_layers
from normcheck.frameworks.call_source import Spell
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.jax import arrays
from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.haiku_module import (
    Pure,
    flat,
    look,
    looked,
    of_class,
    of_transformed,
    parts,
    state_roles,
    with_values,
)
from normcheck.frameworks.jax.haiku_script import spelled
from normcheck.frameworks.jax.layer import Leaves, Numbers, Prepare, PureLayer, State, output
from normcheck.frameworks.jax.state_roles import COUNTED, NEVER_LEFT, STATISTICS, StateRoles, apart, fitted
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

LAST_AXIS = {"axis": -1}
"""What a constructor gets that requires the axes to normalize."""


def channels_last(build: Build, case: Case) -> bool:
    """Whether a layer wants its channels in the last axis, by the input on which its arrays have their number."""
    if case.x.ndim < 3:
        return False
    units = case.x.shape[1]
    first, *rest = apart(units, case.groups)
    space = tuple(rest[: case.x.ndim - 2])

    def arrays_for(shape: tuple[int, ...]) -> set[int] | None:
        try:
            seen = look(build(case), jnp.zeros(shape, jnp.float32))
        except ENDS:
            raise
        except BaseException:
            return None
        return {one.size for one in (*seen.parameters.values(), *seen.state.values()) if one.ndim}

    second, last = arrays_for((first, units, *space)), arrays_for((first, *space, units))
    if second is None or last is None:
        return second is None
    return units in last or not second


def preparing(build: Build, name: str, normalizer: Normalizer) -> Prepare:
    """Makes modules from `build` ready for cases."""
    last: dict[int, bool] = {}  # by rank, found at its first case
    places: dict[tuple[bool, ...], tuple[LayerParts, StateRoles]] = {}

    def prepare(case: Case) -> PureLayer:
        there = (case.weight is None, case.bias is None, case.running_mean is None)
        if case.x.ndim not in last:
            channels = normalizer.sets.layout == "channels"
            last[case.x.ndim] = channels and guarded(lambda: channels_last(build, case), case, name)
        if there not in places:
            places[there] = guarded(lambda: _places(build(case)), case, name)
        dtype = arrays.dtype_of(case, "weight")
        known, roles = places[there]
        stateful, moved = case.running_mean is not None, last[case.x.ndim]

        def run(leaves: Leaves, state: State, numbers: Numbers) -> tuple[Any, State]:
            made = build(case.but(**numbers))
            x = jnp.moveaxis(leaves[0], 1, -1) if moved else leaves[0]
            parameters, held = made.init(x, True)
            own = flat(parameters)
            given = {known.weight: leaves[1], known.bias: leaves[2]}
            values = {path: fitted(one, own[path], name) for path, one in given.items() if path and one is not None}
            entries = roles.values(flat(held), dict(zip(STATISTICS, state, strict=True)), name)
            placed = with_values(parameters, values, dtype), with_values(held, entries, dtype)
            returned, after = made.apply(*placed, x, case.training)
            y = output(returned, x, name)
            now = flat(after)
            mean, var = (
                now[path].reshape(before.shape) if stateful and (path := roles.path(role)) else before
                for role, before in zip(STATISTICS, state, strict=True)
            )
            return jnp.moveaxis(y, -1, 1) if moved else y, (mean, var)

        key = (case.x.shape, case.normalized, case.groups, case.units_first, case.training, case.part, dtype.name)
        return PureLayer(name, (*key, *there), run)

    return prepare


def _places(made: Pure) -> tuple[LayerParts, StateRoles]:
    return parts(made), state_roles(made)


def _own(target: Any) -> list[Parameter]:
    return (from_signature(target.__init__) or [])[1:]


class HaikuLayers:
    """haiku.Module classes and transformed functions (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        if inspect.isclass(target):
            return issubclass(target, hk.Module)
        return isinstance(target, (Pure, hk.Transformed, hk.TransformedWithState))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return [replace(one, required=False) if one.name in LAST_AXIS else one for one in _own(target)]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        own = _own(target)
        given = {one.name for one in own[: len(args)]} | set(kwargs)
        filled = {one.name: LAST_AXIS[one.name] for one in own if one.required and one.name in LAST_AXIS
                  and one.name not in given}  # fmt: skip
        return of_class(target, args, {**kwargs, **filled})

    def copy(self, layer: Any) -> Any:
        return layer.copy() if isinstance(layer, Pure) else of_transformed(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        made: Pure = layer
        if made.needs:
            raise CallError(binding_of_layers.more_inputs(made.needs, name))
        made.seen = guarded(lambda: looked(made, case), case, name)
        return made

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return COUNTED if state_roles(layer).counts else {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        """A module has its sizes from its input, and its number of groups from its constructor."""
        made = self.copy(layer)
        groups = None if made.seen is None else made.seen.numbers.get("num_groups")
        for shape in ((4, 48, 48, 48), (4, 48)) if made.seen is None else ():
            try:
                groups = look(made, jnp.zeros(shape, jnp.float32)).numbers.get("num_groups")
                break
            except ENDS:
                raise
            except BaseException:  # noqa: S112  # it takes inputs of another rank
                continue
        return None if groups is None else Sizes(None, groups)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return JaxCall(preparing(build, name, normalizer))

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        """Statistics that are corrected for their start have none: they begin with the first batch."""
        known, own = parts(layer), {**layer.seen.parameters, **layer.seen.state}
        paths = (known.weight, known.bias, *(getattr(known, role) for role in STATISTICS))
        weight, bias, mean, var = (arrays.array(own[path]) if path else None for path in paths)
        return Constructed(weight, bias) if state_roles(layer).counts else Constructed(weight, bias, mean, var)

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
        fixed = {one.name for one in _own(target)[: len(binding.args)]} | set(binding.kwargs)
        filled = {one.name: LAST_AXIS[one.name] for one in _own(target) if one.required and one.name in LAST_AXIS
                  and one.name not in fixed}  # fmt: skip
        call = [one.name for one in (from_signature(target.__call__) or ())[2:]]
        mode = next((one for one in call if plain(one) in NAMES["training"]), "")

        def spell(case: Case) -> tuple[str, ...]:
            last = case.x.ndim > 2 and case.weight is not None and channels_last(build, case)
            stateful = bool(build(case).seen.state)
            return spelled(name, binding, shape_as, parameters, case, filled, mode, last=last, stateful=stateful)

        return spell

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call, as JAX does it."""
        return None


LAYERS = HaikuLayers()
