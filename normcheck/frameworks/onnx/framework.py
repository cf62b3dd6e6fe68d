"""ONNX as a `Framework` of `frameworks.protocol`: forward passes of models. There are no gradients."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.onnx.model import ELEMENTS, RunnableModel, Target, is_run, outputs, parameters, target_of
from normcheck.frameworks.onnx.script import OnnxScript
from normcheck.frameworks.protocol import FunctionStyle, Layers, Transforming
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding, Parameter
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call

STATE = ("running_mean", "running_var")
"""The roles of running statistics."""


class OnnxFramework:
    """Models, sessions, reference evaluators, and functions that make one of them (`Framework`)."""

    name = "onnx"
    formats = tuple(ELEMENTS)
    layouts = ()
    styles = (FunctionStyle(), FunctionStyle(shape_as=int), FunctionStyle(always_state=True))
    uses = ()
    layer_uses = ()
    watched = False
    language = OnnxScript()
    layers: Layers | None = None
    absent: ClassVar[Mapping[str, str]] = {"gradient": "an ONNX model has a forward pass only"}
    compiles_per_shape = False
    untimed = "models of ONNX are not timed"
    form_arrays = None

    def settings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def tensor(self, values: Array, format: str, layout: str = "contiguous") -> Array:
        assert layout == "contiguous", "inputs of a model are contiguous"
        return np.array(values, dtype=format, order="C")

    def array(self, tensor: Array) -> Array:
        return np.array(tensor, dtype=np.float64)

    def format_of(self, tensor: Array) -> str:
        return str(tensor.dtype.name)

    def accepts(self, target: Any) -> str:
        known = is_run(target) or (callable(target) and not inspect.isclass(target))
        return "" if known else f"{type(target).__name__}, not an ONNX model or a function that makes one"

    def parameters(self, target: Any, normalizer: Normalizer) -> tuple[Target, list[Parameter]]:
        found = target_of(target)
        return found, parameters(found)

    def function(
        self, function_: Any, binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
    ) -> Call:
        assert isinstance(function_, Target)

        def call(case: Case, gradient: bool) -> Answer:
            if case.format.name not in ELEMENTS:
                raise CallError(f"{name} is a model of ONNX, which is not run in {case.format.name} here")
            arrays = _arrays(case, style)
            args, kwargs = binding.arguments(role_values(case, style.shape_as) | arrays)
            returned = guarded(lambda: outputs(function_, args, kwargs, case.format.name), case, name)
            y = _checked(returned[0] if returned else None, case.x.shape, name, "y")
            state = {} if case.running_mean is None else _state(arrays, returned, name)
            mean, var = (state.get(role) for role in STATE)
            return Answer(y.astype(np.float64), y.dtype.name, running_mean=mean, running_var=var)

        return call

    def runnable(self, model: Any) -> RunnableModel:
        """A model that another framework has exported. Raises any exception that its runtime raises."""
        return RunnableModel(model)

    def unsupported(self, target: Any) -> Mapping[str, str]:
        return {}

    def trained_only(self, function_: Any, normalizer: Normalizer) -> bool:
        return False

    def composition(self, normalizer: Normalizer, contract: Contract) -> None:
        return None

    def trial(self, call: Call) -> Call:
        return call

    def transforming(self, function_: Any, binding: Binding, name: str) -> Transforming | None:
        return None


def _arrays(case: Case, style: FunctionStyle) -> dict[str, Array]:
    """The inputs of a model by role."""
    mean, var = case.running_mean, case.running_var
    if style.always_state and mean is None:
        units = case.x.shape[min(1, case.x.ndim - 1)]
        mean, var = np.zeros(units), np.ones(units)
    given = {"input": case.x, "weight": case.weight, "bias": case.bias, "running_mean": mean, "running_var": var}
    kind = case.format.name
    return {role: np.array(one, dtype=kind, order="C") for role, one in given.items() if one is not None}


def _state(arrays: Mapping[str, Array], returned: Sequence[Any], name: str) -> dict[str, Array]:
    """The running statistics after a call, by role: further outputs, or those before it where there are none."""
    before = {role: arrays[role] for role in STATE if role in arrays}
    after = returned[1 : 1 + len(before)] if len(returned) > len(before) else before.values()
    return {
        role: _checked(value, before[role].shape, name, role).astype(np.float64)
        for role, value in zip(before, after, strict=True)
    }


def _checked(value: Any, shape: tuple[int, ...], name: str, what: str) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != shape:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise CallError(f"{name} returned {got} as {what}; expected shape {shape}")
    return value


FRAMEWORK = OnnxFramework()
