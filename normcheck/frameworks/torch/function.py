"""Functions of torch tensors: Python, builtin, scripted and compiled functions, custom operators, autograd.Function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from normcheck.core.foreign_code import attribute
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding, Parameter, from_signature
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.layer import Arguments, Leaf, PreparedLayer
from normcheck.frameworks.torch.uses import make as make_call
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Call


def _from_schema(schema: Any, *, keyword: bool) -> list[Parameter]:
    return [
        Parameter(a.name, not a.has_default_value(), keyword or bool(getattr(a, "kwarg_only", False)))
        for a in schema.arguments
    ]


def _schema(function: Any) -> Any:
    """The schema of a scripted function, an operator or a custom operator; None for other callables."""
    for path in (("schema",), ("_schema",), ("default", "_schema"), ("_opoverload", "_schema")):
        found = function
        for part in path:
            found = attribute(found, part)
        if attribute(found, "arguments") is not None:
            return found
    return None


def callable_and_parameters(target: Any, normalizer: Normalizer) -> tuple[Callable[..., Any], list[Parameter]]:
    """The object to call and its parameters, from its signature or schema.

    A callable without either is taken to have the parameters of torch's function, in that order.
    """
    if inspect.isclass(target) and issubclass(target, torch.autograd.Function):
        of_forward = from_signature(target.forward) or []
        without_context = target.setup_context is not torch.autograd.Function.setup_context
        parameters = of_forward if without_context else of_forward[1:]  # without ctx
        return target.apply, [Parameter(p.name, p.required, keyword=False) for p in parameters]
    if _schema(target) is not None:
        return target, _from_schema(_schema(target), keyword=True)
    python = from_signature(target)
    if python is not None:
        return target, python
    name = f"aten::{attribute(target, '__name__', '')}"
    for schema in torch._C._jit_get_schemas_for_operator(name):  # noqa: SLF001  # builtins have the names of their parameters nowhere else
        return target, _from_schema(schema, keyword=False)
    return target, [Parameter(role, True, keyword=False) for role in normalizer.arguments]


def make(
    function: Callable[..., Any],
    binding: Binding,
    name: str,
    style: FunctionStyle = FunctionStyle(),  # noqa: B008  # frozen value
) -> Call:
    """A call that runs the function on tensors."""

    def prepare(case: Case) -> PreparedLayer:
        x = tensors.given(case.x, case, "x")
        weight, bias = tensors.given(case.weight, case, "weight"), tensors.given(case.bias, case, "bias")
        assert x is not None
        mean, var = (tensors.given(getattr(case, name), case, name) for name in ("running_mean", "running_var"))
        if style.flat_weight and weight is not None:
            weight = weight.flatten()
        if style.always_state and mean is None:
            units = case.x.shape[min(1, case.x.ndim - 1)]  # an input that is a weight may be a vector
            mean, var = x.new_zeros(units), x.new_ones(units)
        values = role_values(case, style.shape_as)

        def arguments(x: torch.Tensor, weight: Leaf, bias: Leaf) -> Arguments:
            by_role = {"input": x, "weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
            present = {role: value for role, value in by_role.items() if value is not None}
            found: Arguments = binding.arguments(values | present)
            return found

        def forward(x: torch.Tensor, weight: Leaf, bias: Leaf) -> Any:
            args, kwargs = arguments(x, weight, bias)
            return function(*args, **kwargs)

        def writes() -> bool:
            """Whether a call writes its running statistics at a momentum with which both meanings of it change them."""
            assert mean is not None
            assert var is not None
            fresh, detached = mean.clone(), (None if one is None else one.detach() for one in (x, weight, bias))
            by_role = dict(zip(("input", "weight", "bias"), detached, strict=True))
            by_role |= {"running_mean": fresh, "running_var": var.clone()}
            present = {role: value for role, value in by_role.items() if value is not None}
            args, kwargs = binding.arguments(values | present | {"momentum": 0.5})
            with torch.no_grad():
                function(*args, **kwargs)
            return not torch.equal(fresh, mean)

        statistics = lambda returned: _statistics(returned, case, mean, var, writes)
        leaves = (x, weight, bias)
        return PreparedLayer(name, leaves, forward, mean, var, statistics, code=function, arguments=arguments)

    return make_call(prepare)


def _statistics(
    returned: Any, case: Case, mean: torch.Tensor | None, var: torch.Tensor | None, writes: Callable[[], bool]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The running statistics after a call: updated in place, or returned as new tensors after the output.

    What is returned after the output may also be the statistics of the batch, as torch.native_batch_norm has it. Those
    that are held do not change with a momentum by which nothing of the batch is taken: `writes` tells what then holds.
    """
    if mean is None or var is None or not isinstance(returned, (tuple, list)):
        return mean, var
    unchanged = (
        torch.equal(mean, tensors.tensor(case.running_mean, case, "running_mean"))
        if case.running_mean is not None
        else False
    )
    others = [v for v in returned[1:] if isinstance(v, torch.Tensor) and v.numel() == mean.numel()]
    keeps = case.momentum in (0.0, 1.0)  # in one of its two meanings
    if unchanged and case.training and len(others) >= 2 and not (keeps and writes()):
        return others[0].flatten(), others[1].flatten()
    return mean, var
