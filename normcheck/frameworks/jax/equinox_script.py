"""How the script of a finding constructs and calls a module of Equinox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from normcheck.frameworks.call_source import array_names, construction, import_lines
from normcheck.frameworks.jax.examples import Mapped
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case

FILLED = {"key": "jax.random.PRNGKey(0)", "axis_name": "'batch'"}
"""The source of the arguments of a constructor that are no matter of the case."""


def spelled(
    name: str,
    binding: Binding,
    shape_as: type,
    parameters: Mapping[str, str],
    case: Case,
    filled: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    mapped: Mapped,
    mode: Mapping[str, bool],
    *,
    stateful: bool,
) -> tuple[str, ...]:
    """A module as a function of its arrays, and its call; nothing where its running statistics matter.

    parameters: paths in the module by role. shapes: of the parameters by role. mode: arguments of a call that tell it.
    """
    if case.units_first or (stateful and not case.training):
        return ()
    lines, called = import_lines(name)
    own = [role for role in array_names(case) if role in ("weight", "bias") and role in parameters]
    made = construction(called, binding, case, shape_as)
    more = ", ".join(f"{one}={FILLED[one]}" for one in filled)
    made = f"{made[:-1]}{', ' if more and not made.endswith('()') else ''}{more})"
    values = [f"{role}.reshape({shapes[role]})" for role in own]
    places = ", ".join(f"m.{_source(parameters[role])}" for role in own)
    placed = f"    m = eqx.tree_at(lambda m: ({places},), m, ({', '.join(values)},))"
    given = ", ".join(["x", *own])
    arguments = "".join(f", {one}={value}" for one, value in mode.items())
    return (
        *lines,
        "import equinox as eqx",
        f"def layer({given}):",
        f"    m = {made}",
        *((placed,) if own else ()),
        *(("    state = eqx.nn.State(m)",) if stateful else ()),
        *_call(mapped, arguments, stateful=stateful),
        f"y = layer({given})",
    )


def _call(mapped: Mapped, arguments: str, *, stateful: bool) -> tuple[str, ...]:
    one = f"m(x{', state' if stateful else ''}{arguments}){'[0]' if stateful else ''}"
    if not mapped.axes:
        return (f"    return {one}",)
    function = f"lambda x: {one}"
    axis = f", axis_name={mapped.name!r}" if mapped.name is not None else ""
    for _ in range(mapped.axes):
        function = f"jax.vmap({function}{axis})"
    return (f"    return {function}(x)",)


def _source(path: str) -> str:
    """A dotted path with places in sequences as the code writes them."""
    first, *rest = path.split(".")
    return first + "".join(f"[{one}]" if one.isdigit() else f".{one}" for one in rest)
