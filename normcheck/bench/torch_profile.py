"""Allocations, releases and copies of a pass, in order, as torch's profiler records them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from normcheck.bench.trace import REGION, TensorCopy, TraceStep
from normcheck.bench.traffic import BACKWARD, BOTH, FORWARD
from normcheck.core.foreign_code import quiet
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.tensors import cotangent, output
from normcheck.normalizers.case import Case


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _copy(source: Any, target: Any) -> TensorCopy:
    shape, to = tuple(target.sizes), _dtype(target)
    return TensorCopy(shape, _dtype(source), to, getattr(torch, to).itemsize)


def _steps(event: Any, part: str, path: tuple[str, ...]) -> Iterator[TraceStep]:
    """The steps of a profiler event and of the events within it, in order."""
    name = event.name
    if event.tag.name == "Allocation":
        yield TraceStep(part, path, event.extra_fields.alloc_size, event.extra_fields.ptr)
        return
    if name.startswith(REGION):
        part, path = name.removeprefix(REGION), ()
    else:
        path = (*path, name)
    if name == "aten::copy_" and part:
        target, source = event.extra_fields.inputs[:2]
        if hasattr(target, "dtype") and hasattr(source, "dtype"):
            yield TraceStep(part, path, copy=_copy(source, target))
    for child in event.children:
        yield from _steps(child, part, path)


def profile_call(run: Callable[[], Any]) -> tuple[Any, tuple[TraceStep, ...]]:
    """The return value of a call, and its steps: those within the regions of the passes, and releases between them."""
    with quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=True) as profiler:
        returned = run()
    results = profiler.profiler.kineto_results if profiler.profiler is not None else None
    roots = results.experimental_event_tree() if results is not None else ()
    steps = (step for root in roots for step in _steps(root, "", ()))
    return returned, tuple(step for step in steps if step.part or step.bytes < 0)


def passes_in_regions(layer: PreparedLayer, case: Case, part: str) -> Callable[[], list[Any]]:
    """A call that runs the forward ("forward") or both passes ("both"), each in its region of the profile.

    It returns all that a caller would hold: the output, and the gradients of all leaves.
    """
    leaves = tuple(None if leaf is None else leaf.detach().clone() for leaf in layer.leaves)
    differentiated = [leaf for leaf in leaves if leaf is not None and part == BOTH]
    for leaf in differentiated:
        leaf.requires_grad_()
    dy = cotangent(case) if part == BOTH else None

    def run() -> list[Any]:
        with record_function(REGION + FORWARD):
            returned = layer.forward(*leaves)
        y = output(returned, case, layer.name)
        if not differentiated:
            return [y]
        with record_function(REGION + BACKWARD):
            grads = torch.autograd.grad(y, differentiated, dy, allow_unused=True)
        return [y, *grads]

    return run


def storage_pointers(values: Iterable[Any]) -> frozenset[int]:
    """The addresses of the storage of those values that are tensors."""
    return frozenset(v.untyped_storage().data_ptr() for v in values if isinstance(v, torch.Tensor))
