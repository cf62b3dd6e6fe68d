"""Functions of JAX arrays: plain or jitted, with a derivative of their own, partially applied, callable objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from normcheck.frameworks.jax import layer
from normcheck.frameworks.jax.layer import Leaves, Numbers, Prepare, PureLayer, State
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

TRACED = ("eps", "momentum")
"""Roles whose values are arguments of a compiled program; a new value of any other role is compiled anew."""


def preparing(
    function: Callable[..., Any], binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
) -> Prepare:
    """Makes a function ready for cases."""

    def prepare(case: Case) -> PureLayer:
        values = role_values(case, style.shape_as)
        fixed = {role: values[role] for role in sorted(binding.roles) if role in values and role not in TRACED}
        updated = layer.updates(case)

        def run(leaves: Leaves, state: State, numbers: Numbers) -> tuple[Any, State]:
            x, weight, bias = leaves
            mean, var = state
            if style.flat_weight and weight is not None:
                weight = weight.ravel()
            if style.always_state and mean is None:
                units = x.shape[min(1, x.ndim - 1)]
                mean, var = jnp.zeros(units, x.dtype), jnp.ones(units, x.dtype)
            given = {"input": x, "weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
            there = {role: value for role, value in given.items() if value is not None}
            args, kwargs = binding.arguments(fixed | dict(numbers) | there)
            returned = function(*args, **kwargs)
            y = layer.output(returned, x, name)
            return y, layer.statistics(returned, state, len(normalizer.kept), name) if updated else state

        return PureLayer(name, (updated, tuple(fixed.items())), run)

    return prepare
