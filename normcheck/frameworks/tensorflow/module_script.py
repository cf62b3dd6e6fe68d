"""The lines of a script that construct a tf.Module and call it."""

from __future__ import annotations

from collections.abc import Mapping

from normcheck.frameworks.call_source import array_names, construction, import_lines
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case


def spelled(name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], case: Case) -> tuple[str, ...]:
    """A module with the arrays as its variables, and its call; nothing where its units are in axis 1."""
    if case.units_first:
        return ()
    lines, called = import_lines(name)
    roles = [role for role in array_names(case) if role in parameters]
    return (
        *lines,
        f"m = {construction(called, binding, case, shape_as)}",
        "m(x)  # it may make its variables in its first call",
        *(f"m.{parameters[role]} = {role}" for role in roles),
        "y = m(x)",
    )
