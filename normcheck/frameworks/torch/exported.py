"""Calls of a layer as `torch.export` or `torch.onnx.export` makes a program of it, from another input than the case's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

import torch

from normcheck.core.errors import NOT_IN_RUNTIME, CallError
from normcheck.core.foreign_code import first_line
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch.compiled import kept_state, larger
from normcheck.frameworks.torch.layer import Leaf, Leaves, Prepare, PreparedLayer, run_layer
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

IN_EXPORT = " in its export"
"""Appended to the text of a `CallError` for code of which no program can be made."""

MORE = 1
"""By how many cases the example is larger from which a program for any batch is made."""

Program = Callable[..., Any]
"""A program that was made of a layer, called with the same tensors."""


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
        from normcheck.frameworks.onnx.model import RunnableModel  # noqa: PLC0415  # onnx need not be there

        program: Any = torch.onnx.export(
            module, example, dynamo=True, verbose=False, dynamic_shapes=_open(module, example, any_batch)
        )
        assert program is not None, "without a file the exporter returns the model"
        try:
            model = RunnableModel(program.model_proto)
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


def _use(
    make: Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Program], any_batch: bool, tool: str
) -> Callable[[Prepare, Case, bool], Answer]:
    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        layer = prepare(case)
        module = _Function(layer).train(case.training) if layer.module is None else layer.module
        example = _given(layer, larger(layer.leaves, MORE if any_batch else 0))
        with kept_state(layer), _silent():
            program = guarded(lambda: make(module, example), case, layer.name, IN_EXPORT)
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


@contextmanager
def _silent() -> Iterator[None]:
    """What exporters print of their progress, and log of packages that are not there, is not shown."""
    log = logging.getLogger("torch")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        log.setLevel(before)
