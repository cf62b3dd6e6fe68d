"""The lines of a script that construct a layer of Keras and call it."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from normcheck.frameworks.call_source import array_names, construction, import_lines
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case


def spelled(name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], case: Case) -> tuple[str, ...]:
    """A layer as a function of its arrays, and its call; nothing where its units are in axis 1."""
    if case.units_first:
        return ()
    lines, called = import_lines(name)
    roles = [role for role in array_names(case) if role in parameters]
    placed = ", ".join(f"(m.{parameters[role]}, {role})" for role in roles)
    own = ", ".join(["x", *roles])
    return (
        f'import os; os.environ["KERAS_BACKEND"] = "{keras.config.backend()}"',
        "import keras",
        f'keras.config.set_dtype_policy("{case.format.name}")',
        *lines,
        f"m = {construction(called, binding, case, shape_as)}",
        "m(x)  # it makes its variables in its first call",
        f"def layer({own}):",
        f"    with keras.StatelessScope(state_mapping=[{placed}]):",
        f"        return m(x, training={case.training})",
        f"y = layer({own})",
    )
