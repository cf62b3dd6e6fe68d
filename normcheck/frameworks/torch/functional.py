"""Calls of a torch layer under function transforms, with second derivatives, exported, or recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode  # there is no public import of it

from normcheck.core.errors import CallError
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.layer import (
    NO_GRADIENTS,
    Leaves,
    Prepare,
    PreparedLayer,
    answer,
    requested_leaves,
    run_layer,
)
from normcheck.frameworks.torch.without_compiler import without_compiler
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer


def _present_leaves(layer: PreparedLayer) -> tuple[list[torch.Tensor], Callable[..., Leaves]]:
    """The leaves that are not None, detached, and a function that puts as many values in their places."""
    places = [i for i, leaf in enumerate(layer.leaves) if leaf is not None]

    def restore(*values: torch.Tensor) -> Leaves:
        by_place = dict(zip(places, values, strict=True))
        return by_place.get(0), by_place.get(1), by_place.get(2)

    return [leaf.detach() for leaf in layer.leaves if leaf is not None], restore


@without_compiler()
def vjp(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The gradients as the vector-Jacobian product of `torch.func.vjp`."""
    layer = prepare(case)
    present, restore = _present_leaves(layer)
    dy = tensors.cotangent(case)

    def run() -> tuple[torch.Tensor, Leaves]:
        y, product, *_ = torch.func.vjp(lambda *leaves: layer.output(case, restore(*leaves)), *present)
        return y, restore(*product(dy))

    y, grads = guarded(run, case, layer.name)
    return answer(layer, case, y, [None if g is None else tensors.array(g) for g in grads])


@without_compiler()
def jacrev(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The gradient of the input as the product of the cotangent with the Jacobian of `torch.func.jacrev`."""
    layer = prepare(case)
    x, weight, bias = (None if leaf is None else leaf.detach() for leaf in layer.leaves)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        jacobian = torch.func.jacrev(lambda value: layer.output(case, (value, weight, bias)))(x)
        return layer.output(case, (x, weight, bias)), jacobian

    y, jacobian = guarded(run, case, layer.name)
    assert case.dy is not None
    rows = tensors.array(jacobian).reshape(case.dy.size, case.x.size)
    return answer(layer, case, y, [case.dy.reshape(-1) @ rows, None, None])


def vmap(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The result for the second input of a stack of three, by `torch.func.vmap`."""
    layer = prepare(case)
    x, weight, bias = (None if leaf is None else leaf.detach() for leaf in layer.leaves)
    assert x is not None
    stack = torch.stack([1.0 - x, x, 3.0 * x]).requires_grad_(gradient)

    def run() -> torch.Tensor:
        out: torch.Tensor = torch.func.vmap(lambda value: layer.output(case, (value, weight, bias)))(stack)
        return out[1]

    y = guarded(run, case, layer.name)
    grads = tensors.gradients(y, (stack, None, None), case, layer.name) if gradient else NO_GRADIENTS
    return answer(layer, case, y, [None if grads[0] is None else grads[0][1], None, None])


@without_compiler()
def jvp(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The derivative along the case's tangent, in forward mode."""
    layer = prepare(case)
    x, weight, bias = (None if leaf is None else leaf.detach() for leaf in layer.leaves)
    assert case.tangent is not None, "the case has no tangent"
    v = tensors.tensor(case.tangent, case)
    assert x is not None

    def run() -> tuple[torch.Tensor, torch.Tensor | None]:
        with forward_ad.dual_level():
            y = layer.output(case, (forward_ad.make_dual(x, v), weight, bias))
            primal, tangent = forward_ad.unpack_dual(y)
            return primal, tangent

    y, tangent = guarded(run, case, layer.name)
    if tangent is None:  # an operator without a forward derivative silently drops the tangent
        raise CallError(f"{layer.name} returned no tangent in forward mode", "returned no tangent")
    return replace(answer(layer, case, y, NO_GRADIENTS), jv=tensors.array(tangent))


def second(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The gradients, computed with a graph, and the derivatives of <dx, v> by the input and by the cotangent dy."""
    layer = prepare(case)
    requested = requested_leaves(layer, case.use, gradient=True)
    assert case.dy is not None, "the case has no cotangent"
    assert case.tangent is not None, "the case has no tangent"
    dy, v = tensors.tensor(case.dy, case).requires_grad_(), tensors.tensor(case.tangent, case)
    returned = layer.returned(case)
    y = tensors.output(returned, case, layer.name)
    present = [leaf for leaf in requested if leaf is not None]
    x = present[0]

    def run() -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
        gradients = torch.autograd.grad((y * dy).sum(), present, create_graph=True)
        return gradients, torch.autograd.grad((gradients[0] * v).sum(), (x, dy))

    gradients, second_gradients = guarded(run, case, layer.name)
    remaining = iter([tensors.array(one) for one in gradients])
    found = answer(layer, case, returned, [None if leaf is None else next(remaining) for leaf in requested])
    return replace(found, ddx=tensors.array(second_gradients[0]), jv=tensors.array(second_gradients[1]))


class _OperatorRecorder(TorchDispatchMode):
    """Records the names of the called operators that normalize."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.name()).partition(".")[0]
        if NORMALIZING.search(name):
            self.called.add(name)
        return func(*args, **(kwargs or {}))


NORMALIZING = re.compile("(batch|group|instance|layer|rms|weight)_norm")


@without_compiler()
def observed(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """A forward pass that records the normalizing operators of torch, and whether the memory format is kept."""
    layer, recorder = prepare(case), _OperatorRecorder()
    with recorder:
        returned = layer.returned(case)
    x, y = layer.leaves[0], tensors.output(returned, case, layer.name)
    last = torch.channels_last if y.ndim == 4 else torch.channels_last_3d  # images have rank 4, volumes rank 5
    kept = x is None or y.ndim not in (4, 5) or y.is_contiguous(memory_format=last) or x.is_contiguous()
    return replace(answer(layer, case, returned, NO_GRADIENTS), called=tuple(sorted(recorder.called)), kept_format=kept)


def exported(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The forward pass of the module as exported by `torch.export`."""
    layer = prepare(case)
    if layer.module is None or layer.rebuilt is None:
        raise CallError(f"{layer.name} is no module")
    module, x = layer.module, layer.leaves[0]
    assert x is not None
    exported = guarded(lambda: torch.export.export(module, (x.detach(),)).module(), case, layer.name)
    return run_layer(layer, case, False, lambda: exported(x))
