"""Modules of Equinox as PyTrees: where their parameters are, and what their state holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from normcheck.core.errors import CallError
from normcheck.frameworks.jax import arrays, layer
from normcheck.frameworks.jax.examples import Mapped, mapped_call, traced
from normcheck.frameworks.jax.state_roles import STATISTICS, StateRoles, apart, probe, roles
from normcheck.frameworks.protocol import LayerParts
from normcheck.frameworks.roles import NAMES, from_signature, plain
from normcheck.normalizers.subject import Constructed

FIRST = {"weight": 1.0, "bias": 0.0}
"""The value with which a parameter starts, which tells its role where its name does not."""


class Held:
    """A module and its state. What is set as its attribute is set in a copy of the module, which is frozen itself."""

    __slots__ = ("module", "state")

    module: Any
    state: Any

    def __init__(self, module: Any, state: Any = None) -> None:
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "state", state)

    def __setattr__(self, name: str, value: Any) -> None:
        copied = jtu.tree_map(lambda one: one, self.module)
        object.__setattr__(copied, name, value)
        object.__setattr__(self, "module", copied)

    def __call__(self, x: Any, **given: Any) -> Any:
        return self.module(x, **given)


def _is_index(value: Any) -> bool:
    return isinstance(value, eqx.nn.StateIndex)


def holding(module: Any) -> Held:
    """A new module with its first state, if it has one."""
    indices = [one for one in jtu.tree_leaves(module, is_leaf=_is_index) if _is_index(one)]
    return Held(module, eqx.nn.State(module) if indices else None)


def _dotted(path: tuple[Any, ...]) -> str:
    """A path in a PyTree as the code writes it: names, keys and places, with dots between them."""
    parts = ((getattr(one, kind) for kind in ("name", "key", "idx") if hasattr(one, kind)) for one in path)
    return ".".join(str(next(found, one)) for found, one in zip(parts, path, strict=True))


def _is_float(value: Any) -> bool:
    return bool(eqx.is_array(value) and jnp.issubdtype(value.dtype, jnp.floating))


def parameters(module: Any) -> dict[str, Any]:
    """The arrays of floating-point numbers of a module and of the modules inside it, by dotted path."""
    leaves = jtu.tree_leaves_with_path(module, is_leaf=_is_index)
    return {_dotted(path): one for path, one in leaves if _is_float(one)}


def written(module: Any, values: Mapping[str, Any], dtype: Any) -> Any:
    """A copy of a module with other parameters, by path, that is wholly in one format."""

    def new(path: tuple[Any, ...], old: Any) -> Any:
        return values.get(_dotted(path), old).astype(dtype) if _is_float(old) else old

    return jtu.tree_map_with_path(new, module, is_leaf=_is_index)


def _markers(module: Any) -> Iterator[tuple[str, Any]]:
    """The keys under which a state keeps what belongs to a module, by the path of their index."""
    for path, one in jtu.tree_leaves_with_path(module, is_leaf=_is_index):
        if _is_index(one):
            yield _dotted(path), one.marker


def _entries(held: Held) -> dict[Any, tuple[str, Any]]:
    """What a state holds by marker: the path of its index, and its value."""
    if held.state is None:
        return {}
    values, markers = held.state.tree_flatten()
    paths = {marker: path for path, marker in _markers(held.module)}
    return {marker: (paths.get(marker, ""), value) for marker, value in zip(markers, values, strict=True)}


def _inside(path: str, below: tuple[Any, ...]) -> str:
    return f"{path}.{_dotted(below)}" if below else path


def state_of(held: Held) -> dict[str, Any]:
    """The arrays that a state holds, by dotted path; one of several in an index has its place behind the index."""
    return {
        _inside(path, below): one
        for path, value in _entries(held).values()
        for below, one in jtu.tree_leaves_with_path(value)
    }


def written_state(held: Held, values: Mapping[str, Any], dtype: Any) -> Any:
    """A new state with other arrays, by path, that is wholly in one format."""
    entries = _entries(held)

    def renewed(path: str, value: Any) -> Any:
        def new(below: tuple[Any, ...], old: Any) -> Any:
            found = values.get(_inside(path, below), old)
            return found.astype(dtype) if _is_float(old) else found

        return jtu.tree_map_with_path(new, value)

    return eqx.nn.State.tree_unflatten(tuple(entries), tuple(renewed(*one) for one in entries.values()))


def modes(module: Any, *, training: bool) -> dict[str, bool]:
    """The arguments of a call that tell the mode."""
    names = [one.name for one in (from_signature(type(module).__call__) or ())[2:]]
    out = {name: training for name in names if plain(name) in NAMES["training"]}
    return out | {name: not training for name in names if name == "inference"}


def returned_by(held: Held, x: Any, name: str, *, training: bool) -> tuple[Any, Any]:
    """The output of one call, and the state after it."""
    module = eqx.nn.inference_mode(held.module, value=not training)
    given = modes(module, training=training)
    if held.state is None:
        return layer.output(module(x, **given), x, name), None
    kept = jtu.tree_map(lambda one: one, held.state)  # a state that is read a second time raises
    returned = module(x, kept, **given)
    several = returned if isinstance(returned, tuple) else (returned,)
    after = next((one for one in several if isinstance(one, eqx.nn.State)), None)
    if after is None:
        raise CallError(f"{name} gets a state and returns none beside its output", "returns no state")
    return layer.output(returned, x, name), after


_known: WeakKeyDictionary[type, dict[frozenset[str], StateRoles]] = WeakKeyDictionary()


def state_roles(held: Held) -> StateRoles:
    """The running statistics in the state of a module, measured once for a class and what its state holds."""
    before = state_of(held)
    if not before:
        return StateRoles()
    known = _known.setdefault(type(held.module), {})
    if frozenset(before) not in known:
        known[frozenset(before)] = _measured(held, before)
    return known[frozenset(before)]


def _measured(held: Held, before: Mapping[str, Any]) -> StateRoles:
    units = max(one.size for one in before.values())
    call = lambda x, mapped: mapped_call(lambda one: returned_by(held, one, "", training=True), x, mapped)
    for rank in (2, 4, 3):
        first, *rest = apart(units)
        x = probe((first, units, *rest[: rank - 2]))
        for axes in (1, 0):
            mapped = traced(call, jnp.asarray(x, jnp.float32), Mapped(axes))
            if mapped is not None:
                _, after = call(jnp.asarray(x, jnp.float32), mapped)
                return roles(before, state_of(Held(held.module, after)), x)
    return StateRoles()


def _number(module: Any, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(module).items() if isinstance(value, (float, int, jax.core.Tracer)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def _path(own: Mapping[str, Any], role: str) -> str:
    """The path of a parameter by its name, or else by its first value if one parameter alone starts with it."""
    named = next((path for path in own if plain(path.rpartition(".")[2]) in NAMES[role]), "")
    if named or any(isinstance(one, jax.core.Tracer) for one in own.values()):
        return named
    others = {name for one in FIRST if one != role for name in NAMES[one]}
    free = {path: one for path, one in own.items() if one.ndim and plain(path.rpartition(".")[2]) not in others}
    found = [path for path, one in free.items() if one.size and bool(np.all(np.asarray(one) == FIRST[role]))]
    return found[0] if len(found) == 1 else ""


def parts(held: Held) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    own, state = parameters(held.module), state_roles(held)
    eps = getattr(held.module, _number(held.module, "eps") or "eps", None)
    return LayerParts(
        weight=_path(own, "weight"),
        bias=_path(own, "bias"),
        running_mean=state.path("running_mean"),
        running_var=state.path("running_var"),
        momentum=_number(held.module, "momentum"),
        eps=eps if isinstance(eps, float) else None,
    )


def constructed(held: Held) -> Constructed:
    """The values with which a module starts."""
    own, known = parameters(held.module) | state_of(held), parts(held)
    paths = (known.weight, known.bias, *(getattr(known, role) for role in STATISTICS))
    weight, bias, mean, var = (arrays.array(own[path]) if path else None for path in paths)
    return Constructed(weight, bias, mean, var)
