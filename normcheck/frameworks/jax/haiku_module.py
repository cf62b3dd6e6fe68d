"""Modules of Haiku as functions of parameters, state and input: `hk.transform_with_state` of their construction.

A module exists only while such a function runs, so what is kept of it is how it is made. Its parameters, its state and
its numbers are seen when it is called for the first time, with an input of a case.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import haiku as hk
import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from normcheck.frameworks.jax.state_roles import STATISTICS, StateRoles, apart, probe, roles
from normcheck.frameworks.protocol import LayerParts
from normcheck.frameworks.roles import NAMES, from_signature, plain
from normcheck.normalizers.case import Case

Tree = Mapping[str, Any]
"""Arrays by path: the name of a module, a slash, and the name of the array in it."""

NUMBERS = ("eps", "momentum", "num_groups")
"""Roles of what a module keeps as plain numbers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a first call shows: parameters and state by path, and the numbers of the outermost module by role."""

    parameters: Tree
    state: Tree
    numbers: Mapping[str, Any]


class Pure:
    """A module, or a transformed function, as `init` and `apply` of an input and a mode.

    source: the class or the transformed function that it comes from. seen: filled in at the first call.
    """

    __slots__ = ("apply", "init", "seen", "source")

    def __init__(
        self, source: Any, init: Callable[..., Any], apply: Callable[..., Any], seen: Seen | None = None
    ) -> None:
        self.source, self.init, self.apply, self.seen = source, init, apply, seen

    def copy(self) -> Pure:
        return Pure(self.source, self.init, self.apply, self.seen)


KEY = 0
"""The seed of random keys: normalizers have no use for them, and some code asks for one."""


def _modes(parameters: list[str], *, training: bool) -> dict[str, bool]:
    return {name: training for name in parameters if plain(name) in NAMES["training"]}


def of_class(target: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Pure:
    """A module of a class, constructed with these arguments in each call."""
    called = [one.name for one in (from_signature(target.__call__) or ())[2:]]

    def forward(x: Any, training: bool, **given: Any) -> Any:
        return target(*args, **kwargs)(x, **given, **_modes(called, training=training))

    return of_transformed(hk.transform_with_state(forward), target)


def of_transformed(made: Any, source: Any = None) -> Pure:
    """What `hk.transform` or `hk.transform_with_state` returned, with a random key or without."""
    stateful = isinstance(made, hk.TransformedWithState)
    names = list(inspect.signature(made.apply).parameters)
    keyed = "rng" in names
    own = names[1 + stateful + keyed :]

    def given(x: Any, training: bool, more: Mapping[str, Any]) -> tuple[Any, ...]:
        mode = {"training": training} if source is not None else _modes(own[1:], training=training)
        return (x,), {**mode, **more}

    def init(x: Any, training: bool, **more: Any) -> tuple[Any, Any]:
        args, kwargs = given(x, training, more)
        found = made.init(jax.random.PRNGKey(KEY), *args, **kwargs)
        return found if stateful else (found, {})

    def apply(parameters: Any, state: Any, x: Any, training: bool, **more: Any) -> tuple[Any, Any]:
        args, kwargs = given(x, training, more)
        key = (jax.random.PRNGKey(KEY),) if keyed else ()
        if stateful:
            found: tuple[Any, Any] = made.apply(parameters, state, *key, *args, **kwargs)
            return found
        return made.apply(parameters, *key, *args, **kwargs), {}

    return Pure(made if source is None else source, init, apply)


def required(made: Pure) -> list[Any]:
    """The parameters of a call beside the input that have no value: those that name no mode."""
    call = made.source.__call__ if inspect.isclass(made.source) else None
    if call is None:
        names = list(inspect.signature(made.source.apply).parameters.values())
        first = 2 + isinstance(made.source, hk.TransformedWithState) + any(one.name == "rng" for one in names)
        found = from_signature(made.source.apply) or []
        rest = found[first:]
    else:
        rest = (from_signature(call) or [])[2:]
    return [one for one in rest if one.required and plain(one.name) not in NAMES["training"]]


def flat(tree: Any) -> dict[str, Any]:
    """The arrays of a tree of modules and names by path."""
    return {"/".join(str(one.key) for one in path): leaf for path, leaf in jtu.tree_leaves_with_path(tree)}


def with_values(tree: Any, values: Tree, dtype: Any) -> Any:
    """A tree with other arrays, by path, that is wholly in one format."""

    def new(path: tuple[Any, ...], old: Any) -> Any:
        found = values.get("/".join(str(one.key) for one in path), old)
        return found.astype(dtype) if jnp.issubdtype(old.dtype, jnp.floating) else found

    return jtu.tree_map_with_path(new, tree)


def look(made: Pure, x: Any) -> Seen:
    """Call a module for the first time, and note what it makes. Raises what the module raises."""
    numbers: dict[str, Any] = {}

    def watching(following: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        for name, value in vars(context.module).items():
            for role in NUMBERS:
                if isinstance(value, (int, float)) and plain(name) in NAMES[role]:
                    numbers.setdefault(role, value)
        return following(*args, **kwargs)

    with hk.intercept_methods(watching):
        parameters, state = made.init(x, True)
    return Seen(flat(parameters), flat(state), numbers)


def looked(made: Pure, case: Case) -> Seen:
    """What a first call with an input of the sizes of a case shows, with its channels as axis 1 or as the last one."""
    x = jnp.zeros(case.x.shape, jnp.float32)
    try:
        return look(made, x)
    except Exception:
        if case.x.ndim < 3:
            raise
        return look(made, jnp.moveaxis(x, 1, -1))


_known: WeakKeyDictionary[Any, dict[frozenset[str], StateRoles]] = WeakKeyDictionary()


def state_roles(made: Pure) -> StateRoles:
    """The running statistics in the state of a module, measured once for what it comes from and what its state holds.

    The batch has axes of different sizes, of which one is that of the statistics, so it does not matter which it is.
    """
    assert made.seen is not None, "a module is looked at when it is built"
    if not made.seen.state:
        return StateRoles()
    known = _known.setdefault(made.source, {}) if inspect.isclass(made.source) else {}
    paths = frozenset(made.seen.state)
    if paths not in known:
        known[paths] = _measured(made, max(one.size for one in made.seen.state.values()))
    return known[paths]


def _measured(made: Pure, units: int) -> StateRoles:
    first, *rest = apart(units)
    for shape in ((first, units), (first, *rest[:2], units), (first, units, *rest[:2]), (first, rest[0], units)):
        x = probe(shape)
        try:
            parameters, before = made.init(jnp.asarray(x, jnp.float32), True)
            _, after = made.apply(parameters, before, jnp.asarray(x, jnp.float32), True)
        except Exception:  # noqa: S112  # it takes inputs of another rank
            continue
        found = roles(flat(before), flat(after), x)
        if found.statistics:
            return found
    return StateRoles()


def _named(paths: Tree, role: str) -> str:
    return next((path for path in paths if plain(path.rpartition("/")[2]) in NAMES[role]), "")


def parts(made: Pure) -> LayerParts:
    """Paths of its parameters and running statistics; its eps."""
    assert made.seen is not None, "a module is looked at when it is built"
    state = {role: state_roles(made).path(role) for role in STATISTICS}
    eps = made.seen.numbers.get("eps")
    return LayerParts(
        weight=_named(made.seen.parameters, "weight"),
        bias=_named(made.seen.parameters, "bias"),
        eps=eps if isinstance(eps, float) else None,
        **state,
    )
