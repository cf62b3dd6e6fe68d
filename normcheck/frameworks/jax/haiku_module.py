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
from normcheck.frameworks.roles import NAMES, Parameter, from_signature, plain
from normcheck.normalizers.case import Case

Tree = Mapping[str, Any]
"""Arrays by path: the name of a module, a slash, and the name of the array in it."""

NUMBERS = ("eps", "momentum", "num_groups")
"""Roles of what a module keeps as plain numbers."""


Init = Callable[..., Any]
"""Parameters and state for an input and a mode."""

Apply = Callable[..., Any]
"""Output and new state for parameters, a state, an input and a mode."""


@dataclass(frozen=True, slots=True)
class FirstCall:
    """What a first call shows: parameters and state by path, and the numbers of the outermost module by role."""

    parameters: Tree
    state: Tree
    numbers: Mapping[str, Any]


class Pure:
    """A module, or a transformed function, as `init` and `apply` of an input and a mode.

    source: the class or the transformed function that it comes from. needs: what its calls require beside input and
    mode. seen: filled in at the first call.
    """

    __slots__ = ("apply", "init", "needs", "seen", "source")

    def __init__(self, source: Any, init: Init, apply: Apply, needs: list[Parameter]) -> None:
        self.source, self.init, self.apply, self.needs = source, init, apply, needs
        self.seen: FirstCall | None = None

    def __call__(self, x: Any, **given: Any) -> Any:
        """The output in training, with the parameters that the module starts with."""
        parameters, state = self.init(x, True, **given)
        return self.apply(parameters, state, x, True, **given)[0]

    def copy(self) -> Pure:
        made = Pure(self.source, self.init, self.apply, self.needs)
        made.seen = self.seen
        return made


SEED = 0
"""Of random keys: normalizers have no use for them, and some code asks for one."""


def _modes(parameters: list[Parameter], *, training: bool) -> dict[str, bool]:
    """The arguments of a call that tell the mode."""
    return {one.name: training for one in parameters if plain(one.name) in NAMES["training"]}


def _needs(parameters: list[Parameter]) -> list[Parameter]:
    known = _modes(parameters, training=True)
    return [one for one in parameters if one.required and one.name not in known]


def of_class(target: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Pure:
    """A module of a class, constructed with these arguments in each call."""
    called = (from_signature(target.__call__) or [])[2:]

    def forward(x: Any, training: bool, given: Mapping[str, Any]) -> Any:
        return target(*args, **kwargs)(x, **given, **_modes(called, training=training))

    made = hk.transform_with_state(forward)

    def init(x: Any, training: bool, **given: Any) -> Any:
        return made.init(jax.random.PRNGKey(SEED), x, training, given)

    def apply(parameters: Any, state: Any, x: Any, training: bool, **given: Any) -> Any:
        return made.apply(parameters, state, jax.random.PRNGKey(SEED), x, training, given)

    return Pure(target, init, apply, _needs(called))


def of_transformed(made: Any) -> Pure:
    """What `hk.transform` or `hk.transform_with_state` returned, with a random key or without."""
    stateful = isinstance(made, hk.TransformedWithState)
    whole = from_signature(made.apply) or []
    keyed = any(one.name == "rng" for one in whole)
    called = whole[2 + stateful + keyed :]  # behind parameters, state, key and input

    def init(x: Any, training: bool, **given: Any) -> Any:
        found = made.init(jax.random.PRNGKey(SEED), x, **given, **_modes(called, training=training))
        return found if stateful else (found, {})

    def apply(parameters: Any, state: Any, x: Any, training: bool, **given: Any) -> Any:
        key = (jax.random.PRNGKey(SEED),) if keyed else ()
        mode = _modes(called, training=training)
        if stateful:
            return made.apply(parameters, state, *key, x, **given, **mode)
        return made.apply(parameters, *key, x, **given, **mode), {}

    return Pure(made, init, apply, _needs(called))


def flat(tree: Any) -> dict[str, Any]:
    """The arrays of a tree of modules and names by path."""
    return {"/".join(str(one.key) for one in path): leaf for path, leaf in jtu.tree_leaves_with_path(tree)}


def with_values(tree: Any, values: Tree, dtype: Any) -> Any:
    """A tree with other arrays, by path, that is wholly in one format."""

    def new(path: tuple[Any, ...], old: Any) -> Any:
        found = values.get("/".join(str(one.key) for one in path), old)
        return found.astype(dtype) if jnp.issubdtype(old.dtype, jnp.floating) else found

    return jtu.tree_map_with_path(new, tree)


def look(made: Pure, x: Any) -> FirstCall:
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
    return FirstCall(flat(parameters), flat(state), numbers)


def looked(made: Pure, case: Case) -> FirstCall:
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
