"""One pass of a layer on torch tensors: fresh inputs, the call that is timed, and copies of what it returned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from normcheck.bench.traffic import BACKWARD, FORWARD
from normcheck.core.errors import CallError
from normcheck.frameworks.torch.layer import PreparedLayer
from normcheck.frameworks.torch.tensors import NAMES, array, output, tensor
from normcheck.frameworks.torch.uses import TorchCall
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Subject

_Tensor = torch.Tensor  # bound before any implementation is imported

PADDING = 1 << 15
"""Bytes at most between the storage of two arms: several pages, so that a repetition draws the addresses of its
tensors anew, relative to pages as well as to cache lines."""


def prepared_layer(subject: Subject, case: Case, unsupported: str) -> PreparedLayer:
    """The layer of a subject, ready to be called on a case.

    unsupported: ends the sentence of the `CallError` that is raised for a subject that takes no torch tensors.
    """
    call = subject.call
    if not isinstance(call, TorchCall):
        raise CallError(f"{subject.name} does not take torch tensors, so {unsupported}")
    return call.prepare(case)


def random_padding(rng: np.random.Generator) -> torch.Tensor:
    """A block of random size, which moves the addresses of the tensors that are allocated after it."""
    return torch.empty(int(rng.integers(1, PADDING)), dtype=torch.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class SavedCall:
    """One call for validation: its inputs, and copies of its outputs made right after it."""

    x: torch.Tensor
    dy: torch.Tensor | None
    y: torch.Tensor
    gradients: tuple[torch.Tensor | None, ...]  # of input, weight and bias

    def case(self, like: Case) -> Case:
        """The case with the inputs of this call. like: a case of the same shape, which gives all the rest."""
        return like.but(x=array(self.x)) if self.dy is None else like.but(x=array(self.x), dy=array(self.dy))

    def answer(self) -> Answer:
        """The outputs as arrays; a forward has no gradients."""
        dx, dweight, dbias = (None if one is None else array(one) for one in self.gradients)
        return Answer(array(self.y), NAMES.get(self.y.dtype, str(self.y.dtype)), dx, dweight, dbias)


@dataclass(slots=True)
class InputGenerator:
    """Draws inputs and output gradients: different in each call, unpredictable, and in new storage.

    No input is a multiple of another: many laws would give both the same output, and hide a replay.
    """

    case: Case
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    _x: tuple[torch.Tensor, torch.Tensor] = field(init=False)
    _dy: tuple[torch.Tensor, torch.Tensor] | None = None

    def __post_init__(self) -> None:
        self._x = _pair(tensor(self.case.x, self.case))
        if self.case.dy is not None:
            self._dy = _pair(tensor(self.case.dy, self.case))

    def x(self) -> torch.Tensor:
        return self._mixed(*self._x)

    def dy(self) -> torch.Tensor:
        assert self._dy is not None, "the case has no cotangent"
        return self._mixed(*self._dy)

    def _mixed(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        a, b = (float(v) for v in self.rng.uniform(0.5, 1.5, 2))
        return torch.add(one * a, other, alpha=b)


def _pair(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tensors of which random mixtures are made: the values, and the same values shifted by one entry."""
    return values, values.flatten().roll(1).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class CallInputs:
    """Fresh tensors for one call. before: a copy of x. differentiated: the leaves whose gradients are computed."""

    x: torch.Tensor
    before: torch.Tensor
    leaves: tuple[Any, ...]
    differentiated: list[torch.Tensor]
    dy: torch.Tensor | None
    y: Any  # the output, if the backward alone is timed


@dataclass(frozen=True, slots=True)
class TorchPass:
    """One pass ("forward", "backward" or "both") of a layer on inputs of one case's shape."""

    name: str  # of the subject
    layer: PreparedLayer
    case: Case
    part: str

    def inputs(self, generator: InputGenerator) -> CallInputs:
        """Fresh inputs of the next call; for a backward alone, its forward is run here, outside the timed part."""
        x = generator.x()
        before = x.clone()
        dy = generator.dy() if self.part != FORWARD else None
        leaves = (x, *self.layer.leaves[1:])
        differentiated = [leaf for leaf in leaves if leaf is not None and dy is not None]
        for leaf in differentiated:
            leaf.requires_grad_()
        torch.full_like(before, float("nan"))  # freed at once: what an unwritten output is likely to hold
        y = self._forward(leaves) if self.part == BACKWARD else None
        return CallInputs(x, before, leaves, differentiated, dy, y)

    def run(self, inputs: CallInputs) -> tuple[Any, tuple[torch.Tensor | None, ...]]:
        """The output, and the gradients of the differentiated leaves: the part that is timed."""
        y = self._forward(inputs.leaves) if inputs.y is None else inputs.y
        if not inputs.differentiated:
            return y, ()
        return y, torch.autograd.grad(y, inputs.differentiated, inputs.dy, allow_unused=True)

    def saved(self, inputs: CallInputs, y: torch.Tensor, gradients: tuple[torch.Tensor | None, ...]) -> SavedCall:
        """Copies of a call; a leaf that no gradient reached has a gradient of zeros."""
        found = iter(gradients)
        copies = []
        for leaf in inputs.leaves:
            got = next(found) if leaf is not None and inputs.differentiated else None
            missing = leaf is not None and bool(inputs.differentiated) and got is None
            copies.append(torch.zeros_like(leaf) if missing else None if got is None else got.detach().clone())
        return SavedCall(inputs.before, inputs.dy, y.detach().clone(), tuple(copies))

    def refusal(self, inputs: CallInputs, y: Any) -> str:
        """Why the time of a call means nothing: the name of a cheat and a sentence; empty if nothing was found."""
        name = self.name
        if type(y) is not _Tensor or y.untyped_storage().nbytes() == 0:
            return f"lazy-output: {name} returned {type(y).__name__}, which may compute when it is looked at"
        if not torch.equal(inputs.x.detach(), inputs.before):
            return f"input-overwritten: {name} changed its input"
        return ""

    def _forward(self, leaves: Any) -> Any:
        return output(self.layer.forward(*leaves), self.case, self.name)
