"""The source code of a call as a user would write it, for scripts that reproduce a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normcheck.core.target import split
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case

Spell = Callable[[Case], tuple[str, ...]]
"""Returns the lines that call an implementation on `x`, `weight`, `bias` and assign `y`; the last line is the call."""

Moves = Callable[[str, int, int], str]
"""Source of an expression with an axis moved, from source, old and new place."""


class CodeName(str):
    """A variable name: its representation is the text without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def import_lines(target: str) -> tuple[tuple[str, ...], str]:
    """The lines that import a target, and the expression that refers to it after them.

    >>> import_lines("mypkg.kernels:Norms.fast")
    (('from mypkg.kernels import Norms',), 'Norms.fast')
    """
    place, attribute, _ = split(target)
    root = attribute.partition(".")[0]
    if not place.endswith(".py") and "/" not in place:
        return (f"from {place} import {root}",), attribute
    folder, _, file = place.rpartition("/")
    path = f"import sys; sys.path.insert(0, {folder or '.'!r})"
    return (path, f"from {file.removesuffix('.py')} import {root}"), attribute


def _options(case: Case, shape_as: type) -> dict[str, Any]:
    return {"input": CodeName("x"), **role_values(case, shape_as)}


def construction(name: str, binding: Binding, case: Case, shape_as: type) -> str:
    """Source of the construction of a layer for a case."""
    values = _options(case, shape_as) | {
        "affine": case.weight is not None,
        "use_bias": case.bias is not None,
        "track_running_stats": case.running_mean is not None,
    }
    return _call_source(name, binding, values)


def _call_source(name: str, binding: Binding, values: Mapping[str, Any]) -> str:
    args, kwargs = binding.arguments(values)
    return f"{name}({', '.join([*map(repr, args), *(f'{key}={value!r}' for key, value in kwargs.items())])})"


def array_names(case: Case) -> dict[str, Any]:
    """The variable names of the arrays of a case other than its input, by role."""
    arrays = {"weight": case.weight, "bias": case.bias, "running_mean": case.running_mean,
              "running_var": case.running_var}  # fmt: skip
    return {role: CodeName(role) for role, value in arrays.items() if value is not None}


def of_function(target: str, binding: Binding, shape_as: type, moves: Moves | None) -> Spell:
    """Source of a call of a function that takes weight and bias as arguments.

    moves: source of an expression with an axis moved, for a function that takes the units in axis 1.
    """
    lines, name = import_lines(target)

    def spell(case: Case) -> tuple[str, ...]:
        values = _options(case, shape_as) | array_names(case)
        if not case.units_first:
            return (*lines, f"y = {_call_source(name, binding, values)}")
        if moves is None:
            return ()
        called = _call_source(name, binding, values | {"input": CodeName(moves("x", -1, 1))})
        return (*lines, f"y = {moves(called, 1, -1)}")

    return spell


def of_module(target: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], moves: Moves) -> Spell:
    """Source of construction and call of a module class; moves: as for a function.

    parameters: the attribute of the module for each of the roles weight, bias, running_mean and running_var.
    """
    lines, name = import_lines(target)

    def spell(case: Case) -> tuple[str, ...]:
        construct = f"m = {construction(name, binding, case, shape_as)}.to(x.dtype).train({case.training})"
        assign = [
            f"m.{parameters[role]}.data = {role}.detach().reshape(m.{parameters[role]}.shape)"
            + (f"; {role} = m.{parameters[role]}" if role in ("weight", "bias") else "")
            for role in array_names(case)
            if role in parameters
        ]
        call = moves("m(" + moves("x", -1, 1) + ")", 1, -1) if case.units_first else "m(x)"
        return (*lines, construct, *assign, f"y = {call}")

    return spell
