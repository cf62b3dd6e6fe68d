"""A layer prepared for one case: arrays as tensors, and the call; the same for functions, modules and transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from normcheck.core import uses
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch import tensors
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

Leaf = torch.Tensor | None
Leaves = tuple[Leaf, Leaf, Leaf]
"""Input, weight and bias; None for one that the case does not have."""


Arguments = tuple[Sequence[Any], Mapping[str, Any]]
"""Arguments by position and by name."""


def _input_alone(x: torch.Tensor, weight: Leaf, bias: Leaf) -> Arguments:
    return (x,), {}


def _none(returned: Any) -> tuple[Leaf, Leaf]:
    return None, None


@dataclass(frozen=True, slots=True, eq=False)
class PreparedLayer:
    """A layer with the input, weight and bias of a case.

    leaves: input, weight and bias as tensors. forward: calls the code under test with (input, weight, bias), which may
    differ from the leaves, and returns what it returns. mean, var: running statistics before the call. statistics: the
    running statistics after a call, from its return value. module: the module of the layer, None for a function.
    rebuilt: the same layer with another module. fresh: the same layer with a module that was never called, where its
    class is at hand. code, arguments: a function under test, and what it is called with for (input, weight, bias); a
    module is called with the input.
    """

    name: str
    leaves: Leaves
    forward: Callable[..., Any]
    mean: Leaf = None
    var: Leaf = None
    statistics: Callable[[Any], tuple[Leaf, Leaf]] = _none
    module: torch.nn.Module | None = None
    rebuilt: Callable[[torch.nn.Module], PreparedLayer] | None = None
    fresh: Callable[[], PreparedLayer] | None = None
    code: Callable[..., Any] | None = None
    arguments: Callable[..., Arguments] = _input_alone

    def returned(self, case: Case, leaves: Leaves | None = None) -> Any:
        """The return value of the code under test. Raises `CallError` for every exception that it raises."""
        arguments = self.leaves if leaves is None else leaves
        return guarded(lambda: self.forward(*arguments), case, self.name)

    def output(self, case: Case, leaves: Leaves | None = None) -> torch.Tensor:
        """The normalized tensor in the return value. Raises `CallError` if there is none."""
        return tensors.output(self.returned(case, leaves), case, self.name)


Prepare = Callable[[Case], PreparedLayer]
"""Prepares a layer for a case. Raises `CallError` if the layer cannot take the arrays of the case."""

WHEN_READ = " when its output is read"
"""Appended to the text of a `CallError` for a tensor that holds no numbers that can be read, such as a sparse one."""

NO_GRADIENTS: tuple[Array | None, ...] = (None, None, None)


def requested_leaves(layer: PreparedLayer, use: str, *, gradient: bool) -> Leaves:
    """The leaves that require a gradient under a use, None for the others.

    With `gradient`, requires_grad of every leaf is set accordingly.
    """
    requested = tuple(leaf if requires else None for leaf, requires in zip(layer.leaves, uses.asks(use), strict=True))
    for leaf, requires in zip(layer.leaves, requested, strict=True):
        if leaf is not None and gradient:
            leaf.requires_grad_(requires is not None)
    return requested[0], requested[1], requested[2]


def answer(layer: PreparedLayer, case: Case, returned: Any, grads: Sequence[Array | None]) -> Answer:
    """The `Answer` from a return value and the gradients of input, weight and bias in the shapes of the case."""
    y = tensors.output(returned, case, layer.name)
    owners = (case.x, case.weight, case.bias)
    shaped = [None if g is None or a is None else g.reshape(a.shape) for g, a in zip(grads, owners, strict=True)]
    packed = tensors.packed(returned, case, several=layer.module is None)
    read: Answer = guarded(lambda: tensors.answer(y, shaped, layer.statistics(returned)), case, layer.name, WHEN_READ)
    found = replace(read, packed=packed) if packed else read
    # a layer that only subtracts the mean keeps no running variance: the case's is reported unchanged
    return replace(found, running_var=case.running_var) if layer.mean is not None and layer.var is None else found


def run_layer(layer: PreparedLayer, case: Case, gradient: bool, run: Callable[[], Any] | None = None) -> Answer:
    """One call, and one backward pass if gradients are requested; run: makes the call in another way."""
    requested = requested_leaves(layer, case.use, gradient=gradient)
    # Gradients stay enabled even if none are requested: some layers take torch.is_grad_enabled() for the training mode.
    returned = layer.returned(case) if run is None else guarded(run, case, layer.name)
    y = tensors.output(returned, case, layer.name)
    grads = tensors.gradients(y, requested, case, layer.name) if gradient else NO_GRADIENTS
    return answer(layer, case, returned, grads)
