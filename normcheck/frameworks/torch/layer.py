"""A layer made ready for one case: arrays as tensors, and the call. What functions, modules and transforms share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
"""Input, weight, bias."""


def _none(returned: Any) -> tuple[Leaf, Leaf]:
    return None, None


@dataclass(frozen=True, slots=True, eq=False)
class PreparedLayer:
    """Input, weight and bias of a case, and what the layer makes of them.

    forward: what the code returns for (input, weight, bias), which may be others than its own leaves. mean, var:
    running statistics as they go in. statistics: the same after a call, from what it returned. module: the module
    behind it, and rebuilt: the same layer with another module, where there is one.
    """

    name: str
    leaves: Leaves
    forward: Callable[..., Any]
    mean: Leaf = None
    var: Leaf = None
    statistics: Callable[[Any], tuple[Leaf, Leaf]] = _none
    module: torch.nn.Module | None = None
    rebuilt: Callable[[torch.nn.Module], PreparedLayer] | None = None

    def returned(self, case: Case, leaves: Leaves | None = None) -> Any:
        """What the code returns; whatever it raises becomes one sentence."""
        given = self.leaves if leaves is None else leaves
        return guarded(lambda: self.forward(*given), case, self.name)

    def output(self, case: Case, leaves: Leaves | None = None) -> torch.Tensor:
        """The normalized tensor among what is returned."""
        return tensors.output(self.returned(case, leaves), case, self.name)


Prepare = Callable[[Case], PreparedLayer]

NO_GRADIENTS: tuple[Array | None, ...] = (None, None, None)


def asked(layer: PreparedLayer, use: str, *, gradient: bool) -> Leaves:
    """The leaves of which a gradient is wanted, told so; the others are frozen where gradients are wanted at all."""
    wanted = tuple(leaf if want else None for leaf, want in zip(layer.leaves, uses.asks(use), strict=True))
    for leaf, want in zip(layer.leaves, wanted, strict=True):
        if leaf is not None and gradient:
            leaf.requires_grad_(want is not None)
    return wanted[0], wanted[1], wanted[2]


def answer(layer: PreparedLayer, case: Case, returned: Any, grads: Sequence[Array | None]) -> Answer:
    y = tensors.output(returned, case, layer.name)
    owners = (case.x, case.weight, case.bias)
    shaped = [None if g is None or a is None else g.reshape(a.shape) for g, a in zip(grads, owners, strict=True)]
    found = tensors.answer(y, shaped, layer.statistics(returned))
    # a layer that divides by nothing had no variance before the call either: the case's passes through
    return replace(found, running_var=case.running_var) if layer.mean is not None and layer.var is None else found


def measured(layer: PreparedLayer, case: Case, gradient: bool, run: Callable[[], Any] | None = None) -> Answer:
    """One call and one backward."""
    wanted = asked(layer, case.use, gradient=gradient)
    # Gradients stay enabled: textbook code reads from them whether it trains.
    returned = layer.returned(case) if run is None else guarded(run, case, layer.name)
    y = tensors.output(returned, case, layer.name)
    grads = tensors.gradients(y, wanted, case, layer.name) if gradient else NO_GRADIENTS
    return answer(layer, case, returned, grads)
