"""Calls of programs that `torch.export` or `torch.onnx.export` makes of a layer, from another input than the case's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from normcheck.core.errors import IN_EXPORT, NOT_IN_RUNTIME, RAISED, CallError
from normcheck.core.foreign_code import ENDS, ENDS_ITS_TEST, ends_a_test, first_line
from normcheck.frameworks import registry
from normcheck.frameworks.torch.compiled import kept_state, larger, silent
from normcheck.frameworks.torch.layer import Leaf, Leaves, Prepare, PreparedLayer, run_layer
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

SPECIALIZED = "specialized it to be a constant"
"""In a line of an exporter's text, behind a general one: the number of cases has become a constant."""

ONNX = "onnx"
"""The framework that runs exported models; it is imported only where one is demanded."""

LARGER = 1
"""By how many cases the example is larger from which a program for any batch is made."""

Program = Callable[..., Any]
"""A program that was made of a layer, called with the same tensors."""

Make = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Program]
"""Makes a program of a module and an example of its arguments."""


class _Function(torch.nn.Module):
    """A function as a module, which is what an exporter takes: its arguments are those leaves that are there."""

    def __init__(self, layer: PreparedLayer) -> None:
        super().__init__()
        self._forward = layer.forward
        self._there = [leaf is not None for leaf in layer.leaves]

    def forward(self, *present: torch.Tensor) -> Any:
        """The function's return value."""
        some = iter(present)
        return self._forward(*(next(some) if there else None for there in self._there))


def exported(any_batch: bool) -> Callable[[Prepare, Case, bool], Answer]:
    """Calls of the program of `torch.export`; any_batch: the number of cases is left open."""

    def make(module: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> Program:
        return torch.export.export(module, example, dynamic_shapes=_open(module, example, any_batch)).module()

    return _use(make, any_batch, "torch.export")


def run_as_onnx(any_batch: bool) -> Callable[[Prepare, Case, bool], Answer]:
    """Calls of the model of `torch.onnx.export` by onnxruntime; any_batch: the number of cases is left open."""

    def make(module: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> Program:
        onnx: Any = registry.get(ONNX)
        program: Any = torch.onnx.export(
            module, example, dynamo=True, verbose=False, dynamic_shapes=_open(module, example, any_batch)
        )
        assert program is not None, "without a file the exporter returns the model"
        try:
            model = onnx.runnable(program.model_proto)
        except Exception as error:
            if type(error).__name__ == "NotImplemented":  # of onnxruntime: it has an operator in some formats only
                raise CallError(f"onnxruntime: {first_line(error)}{NOT_IN_RUNTIME}") from error
            raise
        return lambda *tensors: _returned(model, tensors)

    return _use(make, any_batch, "torch.onnx.export, onnxruntime")


def _returned(model: Any, tensors: tuple[torch.Tensor, ...]) -> Any:
    """The outputs of a model as tensors; inputs that the graph does not read are left out of it by the exporter."""
    feeds = {name: one.detach().numpy() for name, one in zip(model.inputs, tensors, strict=True)}
    outputs = tuple(torch.from_numpy(one) for one in model(feeds))
    return outputs[0] if len(outputs) == 1 else outputs


def _use(make: Make, any_batch: bool, tool: str) -> Callable[[Prepare, Case, bool], Answer]:
    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        layer = prepare(case)
        module = _Function(layer).train(case.training) if layer.module is None else layer.module
        example = _given(layer, larger(layer.leaves, LARGER if any_batch else 0))
        with kept_state(layer):
            program = _made(make, module, example, layer.name)
            found = run_layer(layer, case, False, lambda: program(*_given(layer, layer.leaves)))
        return replace(found, made_by=tool)

    return use


def _given(layer: PreparedLayer, leaves: Leaves) -> tuple[torch.Tensor, ...]:
    """The arguments of the module that is exported, without gradients."""
    some: tuple[Leaf, ...] = leaves if layer.module is None else leaves[:1]
    return tuple(one.detach() for one in some if one is not None)


def _open(module: torch.nn.Module, example: tuple[torch.Tensor, ...], any_batch: bool) -> Any:
    """What `dynamic_shapes` says: the first axis of the first argument may have any size, or nothing may."""
    if not any_batch:
        return None
    shapes = ({0: torch.export.Dim.DYNAMIC}, *(None for _ in example[1:]))
    return (shapes,) if isinstance(module, _Function) else shapes  # its arguments are one tuple


def _made(make: Make, module: torch.nn.Module, example: tuple[torch.Tensor, ...], name: str) -> Program:
    """The program. Raises `CallError` with the line of an exporter's text that says what the code does."""
    try:
        with silent():
            return make(module, example)
    except (*ENDS, CallError):
        raise
    except BaseException as error:
        reason = f"{RAISED} {_telling(error)}{IN_EXPORT}"
        raise CallError(f"{name} {reason}", reason + ENDS_ITS_TEST * ends_a_test(error)) from error


def _telling(error: BaseException) -> str:
    """An exception of an exporter as one line: what it says of the code, where it says more than its first line."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    found = next((line for line in lines if SPECIALIZED in line), "")
    return first_line(RuntimeError(found)) if found else first_line(error)
