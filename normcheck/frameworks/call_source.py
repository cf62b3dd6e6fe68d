"""A call as a user would write it in torch: the lines of a reproduction. Knows names and numbers, no framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case

Spell = Callable[[Case], tuple[str, ...]]
"""The lines that call an implementation on `x`, `weight`, `bias`, and leave `y`; the last line is the call."""


class Word(str):
    """Text that is written as it is: a name in the code."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def imported(target: str) -> tuple[tuple[str, ...], str]:
    """The lines that import a target, and its name in them.

    >>> imported("mypkg.kernels:Norms.fast")
    (('from mypkg.kernels import Norms',), 'Norms.fast')
    """
    place, _, attribute = target.rpartition(":")
    first = attribute.partition(".")[0]
    if not place.endswith(".py") and "/" not in place:
        return (f"from {place} import {first}",), attribute
    folder, _, file = place.rpartition("/")
    path = f"import sys; sys.path.insert(0, {folder or '.'!r})"
    return (path, f"from {file.removesuffix('.py')} import {first}"), attribute


def _words(case: Case, shape_as: type) -> dict[str, Any]:
    return {"input": Word("x"), **role_values(case, shape_as)}


def constructed(name: str, binding: Binding, case: Case, shape_as: type) -> str:
    """The call of the constructor of a layer for a case."""
    values = _words(case, shape_as) | {
        "affine": case.weight is not None,
        "use_bias": case.bias is not None,
        "track_running_stats": case.running_mean is not None,
    }
    return _written(name, binding, values)


def _written(name: str, binding: Binding, values: Mapping[str, Any]) -> str:
    args, kwargs = binding.arguments(values)
    return f"{name}({', '.join([*map(repr, args), *(f'{key}={value!r}' for key, value in kwargs.items())])})"


def given(case: Case) -> dict[str, Any]:
    """The names of the arrays that a case has beside its input, by role."""
    arrays = {"weight": case.weight, "bias": case.bias, "running_mean": case.running_mean,
              "running_var": case.running_var}  # fmt: skip
    return {role: Word(role) for role, value in arrays.items() if value is not None}


def of_function(target: str, binding: Binding, shape_as: type) -> Spell:
    """A function that takes its parameters as arguments."""
    lines, name = imported(target)

    def spell(case: Case) -> tuple[str, ...]:
        return (*lines, f"y = {_written(name, binding, _words(case, shape_as) | given(case))}")

    return spell


def of_module(target: str, binding: Binding, shape_as: type, parameters: Mapping[str, str]) -> Spell:
    """A module class that keeps its parameters; parameters: role to the name that the module gives it."""
    lines, name = imported(target)

    def spell(case: Case) -> tuple[str, ...]:
        made = f"m = {constructed(name, binding, case, shape_as)}.to(x.dtype).train({case.training})"
        put = [
            f"m.{parameters[role]}.data = {role}.detach().reshape(m.{parameters[role]}.shape)"
            + (f"; {role} = m.{parameters[role]}" if role in ("weight", "bias") else "")
            for role in given(case)
            if role in parameters
        ]
        return (*lines, made, *put, "y = m(x)")

    return spell
