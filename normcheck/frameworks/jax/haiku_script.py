"""How the script of a finding constructs and calls a module of Haiku."""

from __future__ import annotations

from collections.abc import Mapping

from normcheck.frameworks.call_source import array_names, construction, import_lines
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case


def spelled(
    name: str,
    binding: Binding,
    shape_as: type,
    parameters: Mapping[str, str],
    case: Case,
    filled: Mapping[str, int],
    mode: str,
    *,
    last: bool,
    stateful: bool,
) -> tuple[str, ...]:
    """A module as a function of its arrays, and its call.

    Nothing where its running statistics matter, or where it cannot be told whether its channels are the last axis.
    filled: arguments of the constructor that are no matter of the case. mode: the argument of a call that tells it.
    """
    channels = _channels(case)
    if case.units_first or (stateful and not case.training) or channels is None:
        return ()
    lines, called = import_lines(name)
    own = [role for role in array_names(case) if role in ("weight", "bias") and role in parameters]
    made = construction(called, binding, case, shape_as)
    more = ", ".join(f"{one}={value}" for one, value in filled.items())
    made = f"{made[:-1]}{', ' if more and not made.endswith('()') else ''}{more})"
    given = ", ".join(["x", *own])
    told = f", {mode}={case.training}" if mode else ""
    moved = last and channels
    return (
        *lines,
        "import haiku as hk",
        f"def layer({given}):",
        *(("    x = jnp.moveaxis(x, 1, -1)",) if moved else ()),
        f"    f = hk.transform_with_state(lambda x: {made}(x{told}))",
        "    p, s = f.init(jax.random.PRNGKey(0), x)",
        *(f"    {_place(parameters[role])} = {role}.reshape({_place(parameters[role])}.shape)" for role in own),
        "    y = f.apply(p, s, None, x)[0]",
        f"    return {'jnp.moveaxis(y, -1, 1)' if moved else 'y'}",
        f"y = layer({given})",
    )


def _channels(case: Case) -> bool | None:
    """Whether the units are axis 1 of an input of more than two axes; None if they may be the last one as well."""
    if case.x.ndim < 3:
        return False
    given = case.bias if case.weight is None else case.weight
    if given is None or (case.x.shape[1] == given.size) == (case.x.shape[-1] == given.size):
        return None
    return bool(case.x.shape[1] == given.size)


def _place(path: str) -> str:
    """Where an array is in the tree of parameters, as source."""
    module, _, name = path.rpartition("/")
    return f"p[{module!r}][{name!r}]"
