"""ONNX models as functions of arrays: what a target makes, the inputs of its model, and how it is run."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import FLOAT16, FLOAT32, FLOAT64
from normcheck.core.foreign_code import first_line
from normcheck.frameworks.roles import NAMES, Parameter, plain

ELEMENTS = {
    FLOAT64.name: onnx.TensorProto.DOUBLE,
    FLOAT32.name: onnx.TensorProto.FLOAT,
    FLOAT16.name: onnx.TensorProto.FLOAT16,
}
"""The element type of each format. onnxruntime computes nothing in bfloat16 on a CPU."""

ELEMENT_TYPE = "elem_type"
"""The parameter of a function by which it is given the element type of the model that it makes."""

ORDINARY: dict[str, Any] = {"num_groups": 1, "eps": 0.5, "training": True, "momentum": 0.5, "normalized_shape": (8,),
                            "num_channels": 8}  # fmt: skip
"""Values by role for parameters without a default, with which a model is made to read its inputs."""

ARRAYS = ("input", "weight", "bias", "running_mean", "running_var")
"""The roles of inputs of a model. A parameter of the function that makes it says whether it has this input."""


def is_run(target: Any) -> bool:
    """Whether an object is a model, or something that runs one."""
    return isinstance(target, (onnx.ModelProto, onnxruntime.InferenceSession, ReferenceEvaluator))


class RunnableModel:
    """A model that can be run: the names of its inputs, and its outputs for arrays by these names."""

    def __init__(self, made: Any) -> None:
        """Make a session of onnxruntime for a model. Raises any exception that this raises."""
        if isinstance(made, onnx.ModelProto):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 4  # what is wrong is raised too
            made = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._made = made

    @property
    def inputs(self) -> tuple[str, ...]:
        if isinstance(self._made, ReferenceEvaluator):
            return tuple(self._made.input_names)
        return tuple(one.name for one in self._made.get_inputs())

    def __call__(self, feeds: Mapping[str, Any]) -> list[Any]:
        return list(self._made.run(None, dict(feeds)))


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A model, or a function that makes one for each element type and setting. own: the parameters of that function."""

    made: Any
    own: Mapping[str, inspect.Parameter] = field(default_factory=dict)
    _runs: dict[Hashable, RunnableModel] = field(default_factory=dict)

    def run(self, options: Mapping[str, Any], element: int) -> RunnableModel:
        """The model for options by parameter name. Raises any exception of the code under test."""
        given = dict(options) | ({ELEMENT_TYPE: element} if ELEMENT_TYPE in self.own else {})
        key = tuple(sorted((name, repr(value)) for name, value in given.items()))
        if key not in self._runs:
            made = self.made if is_run(self.made) else self.made(**given)
            if not is_run(made):
                raise CallError(f"returned {type(made).__name__}, not an ONNX model", "it returns no ONNX model")
            self._runs[key] = RunnableModel(made)
        return self._runs[key]


def target_of(found: Any) -> Target:
    """The target of a loaded object. Raises `UsageError` for a function without a signature."""
    if is_run(found):
        return Target(found)
    try:
        return Target(found, inspect.signature(found).parameters)
    except (TypeError, ValueError):
        raise UsageError("it has no named parameters") from None


def parameters(target: Target) -> list[Parameter]:
    """The parameters of the function, then the inputs of its model.

    Raises `UsageError` if no model can be made to read its inputs.
    """
    required = [
        name for name, one in target.own.items() if one.default is one.empty and one.kind is not one.VAR_KEYWORD
    ]
    options = {name: value for name in required for role, value in ORDINARY.items() if plain(name) in NAMES[role]}
    try:
        inputs = target.run(options, ELEMENTS[FLOAT32.name]).inputs
    except CallError as error:
        raise UsageError(f"it {error}") from None
    except Exception as error:
        raise UsageError(f"making its model raised {first_line(error)}") from None
    own = [Parameter(name, name in required, keyword=True) for name in target.own if name != ELEMENT_TYPE]
    return [*own, *(Parameter(name, required=True, keyword=True) for name in inputs if name not in target.own)]


def outputs(target: Target, args: Sequence[Any], kwargs: Mapping[str, Any], format: str) -> list[Any]:
    """The outputs of the model for arguments of the function and inputs of the model, arrays among them."""
    given = dict(zip(target.own, args, strict=False)) | dict(kwargs)
    feeds = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    options = {name: value for name, value in given.items() if name not in feeds and name in target.own}
    options |= {name: True for name in feeds if name in target.own}
    options |= {name: False for name in target.own if _is_array(name) and name not in feeds}
    run = target.run(options, ELEMENTS[format])
    return run({name: feeds[name] for name in run.inputs if name in feeds})


def _is_array(name: str) -> bool:
    return any(plain(name) in NAMES[role] for role in ARRAYS)
