"""Functions of torch tensors: Python functions, builtins, scripted and compiled ones, custom ops, autograd.Function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from normcheck.adapters import torch_tensors as tensors
from normcheck.adapters.base import Answer, Call
from normcheck.adapters.binding import Binding, Parameter, from_signature
from normcheck.case import Case
from normcheck.spec import Normalizer


def _from_schema(schema: Any, *, keyword: bool) -> list[Parameter]:
    return [
        Parameter(a.name, not a.has_default_value(), keyword or bool(getattr(a, "kwarg_only", False)))
        for a in schema.arguments
    ]


def _schema(function: Any) -> Any:
    """The schema of a scripted function, an operator or a custom op; None for other callables."""
    for path in (("schema",), ("_schema",), ("default", "_schema"), ("_opoverload", "_schema")):
        found = function
        for part in path:
            found = getattr(found, part, None)
        if found is not None and hasattr(found, "arguments"):
            return found
    return None


def callable_and_parameters(target: Any, normalizer: Normalizer) -> tuple[Callable[..., Any], list[Parameter]]:
    """What to call, and its parameters, from whatever tells them: signature, schema, or torch's own order."""
    if inspect.isclass(target) and issubclass(target, torch.autograd.Function):
        found = from_signature(target.forward) or []
        plain = target.setup_context is not torch.autograd.Function.setup_context
        own = found if plain else found[1:]  # without ctx
        return target.apply, [Parameter(p.name, p.required, keyword=False) for p in own]
    if _schema(target) is not None:
        return target, _from_schema(_schema(target), keyword=True)
    python = from_signature(target)
    if python is not None:
        return target, python
    name = f"aten::{getattr(target, '__name__', '')}"
    for schema in torch._C._jit_get_schemas_for_operator(name):  # noqa: SLF001  # builtins tell their names nowhere else
        return target, _from_schema(schema, keyword=False)
    return target, [Parameter(role, True, keyword=False) for role in normalizer.arguments]


def make(
    function: Callable[..., Any], binding: Binding, name: str, *, shape_as: type = tuple, always_state: bool = False
) -> Call:
    """Answers cases by calling the function with tensors.

    shape_as: tuple or int, what normalized_shape is passed as. always_state: pass buffers even where none matter.
    """

    def call(case: Case, gradient: bool) -> Answer:
        x = tensors.tensor(case.x, case)
        weight, bias = (None if p is None else tensors.tensor(p, case) for p in (case.weight, case.bias))
        mean, var = (None if b is None else tensors.tensor(b, case) for b in (case.running_mean, case.running_var))
        if always_state and mean is None:
            units = case.x.shape[1]
            mean, var = torch.zeros(units, dtype=x.dtype), torch.ones(units, dtype=x.dtype)
        shape = tuple(case.x.shape[case.x.ndim - case.normalized :])
        values: dict[str, Any] = {
            "input": x,
            "normalized_shape": shape[0] if shape_as is int else shape,
            "num_groups": case.groups,
            "training": case.training,
            "use_input_stats": case.training,
            "momentum": case.momentum,
            "eps": case.eps,
            "p": case.part,
            "dim": case.dim,
            "backend": False,
        }
        given = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
        values |= {role: value for role, value in given.items() if value is not None}
        args, kwargs = binding.arguments(values)
        if not gradient:
            with torch.no_grad():
                y = tensors.output(tensors.guarded(lambda: function(*args, **kwargs), case, name), case, name)
            return tensors.answer(y, (None, None, None), (mean, var))
        leaves = (x, weight, bias)
        for leaf in leaves:
            if leaf is not None:
                leaf.requires_grad_()
        y = tensors.output(tensors.guarded(lambda: function(*args, **kwargs), case, name), case, name)
        return tensors.answer(y, tensors.gradients(y, leaves, case, name), (mean, var))

    return call
