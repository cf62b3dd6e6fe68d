"""Calls of functions and layers of PaddlePaddle: output, gradients by `paddle.grad`, and running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.paddle import arrays
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.returned import Returned
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call

LEAVES = ("input", "weight", "bias")
STATE = ("running_mean", "running_var")

Tensors = dict[str, Any]
"""Tensors by role."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a call gave: the output, the leaves of its gradients, and the running statistics after it, by role."""

    y: Any
    leaves: Tensors
    state: Tensors = field(default_factory=dict)


Run = Callable[[Case, Tensors], Ran]


def call_of(run: Run, name: str) -> Call:
    """A `Call` of a layer or function that is made ready for each case."""

    def call(case: Case, gradient: bool) -> Answer:
        if case.use != uses.PLAIN:
            raise CallError(f"{name} is not called with {case.use} in PaddlePaddle", "not a use of PaddlePaddle")
        ran = guarded(lambda: run(case, _tensors(case)), case, name)
        grads = guarded(lambda: _gradients(case, ran), case, name, IN_BACKWARD) if gradient else {}
        state = {role: arrays.array(one).reshape(-1) for role, one in ran.state.items()}
        found = grads | state
        dx, dweight, dbias, mean, var = (found.get(role) for role in (*LEAVES, *STATE))
        return Answer(arrays.array(ran.y), arrays.format_of(ran.y), dx, dweight, dbias, mean, var)

    return call


def _tensors(case: Case) -> Tensors:
    if case.format.name not in arrays.FORMATS:
        reason = f"PaddlePaddle has no kernels for {case.format.name} on a processor"
        raise CallError(reason, reason)
    values = (case.x, case.weight, case.bias, case.running_mean, case.running_var)
    found = {role: arrays.given(one, case.format.name) for role, one in zip((*LEAVES, *STATE), values, strict=True)}
    for role in LEAVES:
        if found[role] is not None:
            found[role].stop_gradient = False
    return {role: one for role, one in found.items() if one is not None}


def _gradients(case: Case, ran: Ran) -> dict[str, Array]:
    """The gradients of input, weight and bias by role, in the shapes of the case; nothing if y has no history."""
    if ran.y.stop_gradient:
        return {}
    parameters = {"weight": case.weight, "bias": case.bias}
    shapes = {"input": case.x.shape, **{role: one.shape for role, one in parameters.items() if one is not None}}
    dy = arrays.tensor(case.x * 0.0 if case.dy is None else case.dy, case.format.name)
    y = ran.y if ran.y.dtype == dy.dtype else ran.y.astype(dy.dtype)
    found = paddle.grad([y], list(ran.leaves.values()), [dy], allow_unused=True)
    return {  # a tensor that takes no part has no gradient
        role: np.zeros(shapes[role]) if one is None else arrays.array(one).reshape(shapes[role])
        for role, one in zip(ran.leaves, found, strict=True)
    }


output_of = Returned(lambda value: isinstance(value, paddle.Tensor), "a tensor of PaddlePaddle").output


def of_function(
    function: Callable[..., Any], binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
) -> Call:
    """A call of a function of tensors; it writes running statistics into those given, or returns y, (mean, var)."""

    def run(case: Case, given: Tensors) -> Ran:
        x, passed = given["input"], dict(given)
        if style.flat_weight and "weight" in given:
            passed["weight"] = given["weight"].reshape([-1])
        if style.always_state and case.running_mean is None:
            units = x.shape[min(1, x.ndim - 1)]
            passed |= {"running_mean": paddle.zeros([units], x.dtype), "running_var": paddle.ones([units], x.dtype)}
        missing = {role: None for role in ("weight", "bias") if binding.required(role) and role not in given}
        args, kwargs = binding.arguments(role_values(case, style.shape_as) | passed | missing)
        returned = function(*args, **kwargs)
        leaves = {role: given[role] for role in LEAVES if role in given}
        held = {role: given[role] for role in STATE if role in given}
        state = _returned(returned, held) if case.training and len(held) == len(normalizer.kept) else {}
        return Ran(output_of(returned, x, name), leaves, state or held)

    return call_of(run, name)


def _returned(returned: Any, held: Tensors) -> Tensors:
    """Running statistics that were returned beside the output; nothing where fewer were returned."""
    rest = returned[1:] if isinstance(returned, (tuple, list)) else ()
    several = [one for part in rest for one in (part if isinstance(part, (tuple, list)) else (part,))]
    units = next(iter(held.values())).size if held else 0
    found = [one for one in several if isinstance(one, paddle.Tensor) and one.size == units]
    return dict(zip(held, found, strict=False)) if len(found) >= len(held) else {}
