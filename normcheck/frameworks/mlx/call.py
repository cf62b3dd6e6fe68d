"""Calls of functions and layers of MLX: output, gradients by `mx.vjp`, and running statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.mlx import arrays
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.returned import Returned
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call

LEAVES = ("input", "weight", "bias")
STATE = ("running_mean", "running_var")

NEVER_ENDS = "MLX may not end on an input without entries"
"""Seen of `mx.fast.rms_norm` in MLX 0.32 on an input of shape (6, 0), in some runs."""

Run = Callable[[Case, dict[str, Any]], tuple[Any, dict[str, Any]]]
"""Output, and running statistics after a call, by role, from a case and its arrays by role."""


def call_of(run: Run, name: str) -> Call:
    """A `Call` of a layer or function that is made ready for each case."""

    def call(case: Case, gradient: bool) -> Answer:
        if case.use != uses.PLAIN:
            raise CallError(f"{name} is not called with {case.use} in MLX", "not a use of MLX")
        if not case.x.size:
            raise CallError(f"{name} is not called on an input without entries in MLX", NEVER_ENDS)
        given = _arrays(case)
        y, state = guarded(lambda: _evaluated(run(case, given)), case, name)
        grads = guarded(lambda: _gradients(run, case, given), case, name, IN_BACKWARD) if gradient else {}
        mean, var = (arrays.array(state[role]) if role in state else None for role in STATE)
        return Answer(
            arrays.array(y), arrays.format_of(y), grads.get("input"), grads.get("weight"), grads.get("bias"), mean, var
        )

    return call


def _arrays(case: Case) -> dict[str, Any]:
    values = (case.x, case.weight, case.bias, case.running_mean, case.running_var)
    found = {role: arrays.given(one, case.format.name) for role, one in zip((*LEAVES, *STATE), values, strict=True)}
    return {role: one for role, one in found.items() if one is not None}


def _evaluated(found: tuple[Any, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    mx.eval(found[0], *found[1].values())
    return found


def _gradients(run: Run, case: Case, given: dict[str, Any]) -> dict[str, Array]:
    """The gradients of input, weight and bias by role, in the shapes of the case."""
    roles = [role for role in LEAVES if role in given]
    dy = arrays.given(case.x * 0.0 if case.dy is None else case.dy, case.format.name)

    def output(*leaves: Any) -> list[Any]:
        y = run(case, given | dict(zip(roles, leaves, strict=True)))[0]
        return [y.astype(dy.dtype)]

    _, grads = mx.vjp(output, [given[role] for role in roles], [dy])
    mx.eval(grads)
    return {role: arrays.array(one).reshape(given[role].shape) for role, one in zip(roles, grads, strict=True)}


output_of = Returned(lambda value: isinstance(value, mx.array), "an array of MLX").output


def of_function(
    function: Callable[..., Any], binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
) -> Call:
    """A call of a function of arrays; it returns running statistics beside its output, as y, (mean, var)."""

    def run(case: Case, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        x = given["input"]
        if style.flat_weight and "weight" in given:
            given = given | {"weight": given["weight"].reshape(-1)}
        if style.always_state and case.running_mean is None:
            units = x.shape[min(1, x.ndim - 1)]
            given = given | {"running_mean": mx.zeros(units, x.dtype), "running_var": mx.ones(units, x.dtype)}
        missing = {role: None for role in ("weight", "bias") if binding.required(role) and role not in given}
        args, kwargs = binding.arguments(role_values(case, style.shape_as) | given | missing)
        returned = function(*args, **kwargs)
        y = output_of(returned, x, name)
        if not case.training or case.running_mean is None:
            return y, {role: given[role] for role in STATE if role in given and case.running_mean is not None}
        return y, _statistics(returned, given, len(normalizer.kept), name)

    return call_of(run, name)


def _statistics(returned: Any, given: dict[str, Any], kept: int, name: str) -> dict[str, Any]:
    """Running statistics that were returned beside the output. Raises `CallError` where fewer were returned."""
    rest = returned[1:] if isinstance(returned, (tuple, list)) else ()
    several = [one for part in rest for one in (part if isinstance(part, (tuple, list)) else (part,))]
    held = [role for role in STATE if role in given]
    found = [one for one in several if isinstance(one, mx.array) and one.size == given[held[0]].size]
    if len(found) < kept:
        reason = "returns no running statistics beside its output"
        raise CallError(f"{name} {reason}, as in y, (mean, var)", reason)
    return dict(zip(held, found, strict=False))
