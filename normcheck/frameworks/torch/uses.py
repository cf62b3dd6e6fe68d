"""Every way to call a torch layer: plain, frozen, copied, transformed, compiled, from two threads."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch import compiled, exported, functional, modes, tensors
from normcheck.frameworks.torch.layer import (
    NO_GRADIENTS,
    Leaf,
    Leaves,
    Prepare,
    PreparedLayer,
    answer,
    requested_leaves,
    run_layer,
)
from normcheck.frameworks.torch.watch import Watch
from normcheck.frameworks.torch.without_compiler import without_compiler
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call

MOST_KEPT = 64
"""Most answers of one layer that are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class TorchCall:
    """A `Call` that prepares a layer for each case and calls it in the way that the case's use names.

    Answers of calls that compile first are kept: what explains a finding asks its case again, under other conventions.
    """

    prepare: Prepare
    kept: dict[Hashable, Answer] = field(default_factory=dict)

    def __call__(self, case: Case, gradient: bool) -> Answer:
        if case.use not in uses.SLOW:
            return USES[case.use](self.prepare, case, gradient)
        key = (gradient, case.content())
        if key not in self.kept:
            if len(self.kept) >= MOST_KEPT:
                self.kept.clear()
            self.kept[key] = USES[case.use](self.prepare, case, gradient)
        return self.kept[key]


def make(prepare: Prepare) -> Call:
    """A call that also has the function which prepares a layer, for timing."""
    return TorchCall(prepare)


def _plain(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    layer = prepare(case)
    if not case.watched:
        return run_layer(layer, case, gradient)
    requested = requested_leaves(layer, case.use, gradient=gradient)
    dy = tensors.cotangent(case) if gradient else None
    x, weight, bias = layer.leaves
    watched_tensors: dict[str, Leaf] = {"x": x, "weight": weight, "bias": bias, "dy": dy}
    if not case.training:
        watched_tensors |= {"running mean": layer.mean, "running var": layer.var}
    watch = Watch(watched_tensors)
    returned = layer.returned(case)
    y = tensors.output(returned, case, layer.name)
    grads = tensors.gradients(y, requested, case, layer.name, dy) if gradient else NO_GRADIENTS
    found = answer(layer, case, returned, grads)

    def again() -> Any:
        return _plain(prepare, case.but(x=-case.x, watched=False), False)

    return replace(found, changed=watch.changed(y, again))


def _under(context: Callable[[], AbstractContextManager[Any]], *, backward: bool) -> Callable[..., Answer]:
    """A call in a context; without a backward after one with other values in the same memory.

    A call that updates running statistics comes first, since another one would update them too.
    """

    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        if case.watched:
            with context():
                return _plain(prepare, case, gradient and backward)
        layer = prepare(case)
        updates = case.training and layer.mean is not None
        if context is torch.inference_mode and updates:
            layer = _of_a_copy(layer, case)

        def run() -> Any:
            with context():
                return layer.forward(*layer.leaves)

        if not (backward or updates):
            _with_other_input(layer, case, run)
        return run_layer(layer, case, gradient and backward, run)

    return use


def _with_other_input(layer: PreparedLayer, case: Case, run: Callable[[], Any]) -> None:
    """A call with other values in the memory of the input, which has its own again after that."""
    x = layer.leaves[0]
    assert x is not None, "a layer has an input"
    with torch.no_grad():
        kept = x.detach().clone()
        x.copy_(0.5 - 1.5 * kept)
        guarded(run, case, layer.name)
        x.copy_(kept)


def _of_a_copy(layer: PreparedLayer, case: Case) -> PreparedLayer:
    """The same layer with a copy of its module: statistics that are replaced in inference mode stay unusable."""
    module, rebuilt = layer.module, layer.rebuilt
    return (
        layer
        if module is None or rebuilt is None
        else rebuilt(guarded(lambda: copy.deepcopy(module), case, layer.name))
    )


def _copied(copy_module: Callable[[torch.nn.Module], torch.nn.Module]) -> Callable[..., Answer]:
    """The result of a copy of a module, copied after a call of the module."""

    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        layer = prepare(case)
        if layer.module is None or layer.rebuilt is None:
            raise CallError(f"{layer.name} is no module")
        module, rebuilt = layer.module, layer.rebuilt
        layer.returned(case)
        duplicate = guarded(lambda: copy_module(module), case, layer.name)
        return run_layer(rebuilt(duplicate), case, gradient)

    return use


def _pickled(module: torch.nn.Module) -> torch.nn.Module:
    out: torch.nn.Module = pickle.loads(pickle.dumps(module))  # noqa: S301  # pickled by this process just before
    return out


def _rewritten(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """A second call with the same tensors, which had other values in the first call."""
    layer = prepare(case)
    kept = [None if leaf is None else leaf.detach().clone() for leaf in layer.leaves]
    for fill in (lambda value: 0.5 - 1.5 * value, lambda value: value):
        with torch.no_grad():
            for leaf, value in zip(layer.leaves, kept, strict=True):
                if leaf is not None:
                    leaf.copy_(fill(value))
        out = run_layer(layer, case, gradient)
    return out


def _accumulated(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The gradients accumulated in .grad by two backward passes, halved."""
    layer = prepare(case)
    requested = requested_leaves(layer, case.use, gradient=True)
    for leaf in requested:
        if leaf is not None:
            leaf.grad = None
    for _ in range(2):
        returned = layer.returned(case)
        y = tensors.output(returned, case, layer.name)
        if y.requires_grad:
            guarded(tensors.scalar_with_gradient(y, tensors.cotangent(case)).backward, case, layer.name, IN_BACKWARD)
    grads = [None if leaf is None or leaf.grad is None else tensors.array(leaf.grad) / 2.0 for leaf in requested]
    for leaf in requested:
        if leaf is not None:
            leaf.grad = None
    return answer(layer, case, returned, grads)


def _graph_again(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """The gradients of the second of two backward passes through one graph."""
    layer = prepare(case)
    requested = requested_leaves(layer, case.use, gradient=True)
    returned = layer.returned(case)
    y = tensors.output(returned, case, layer.name)
    tensors.gradients(y, requested, case, layer.name, again=True)
    return answer(layer, case, returned, tensors.gradients(y, requested, case, layer.name))


ROUNDS = 6
"""Calls by each of two threads: with frequent switches, enough for a switch in the middle of a call."""


def _threads(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """Calls from two threads on different inputs: of one thread, the answer that differs most from a single call."""
    layer = prepare(case)
    requested = requested_leaves(layer, case.use, gradient=gradient)
    x = requested[0]
    assert x is not None
    single = run_layer(layer, case, gradient)
    other = (1.0 - 3.0 * x.detach()).requires_grad_(gradient)
    answers_of_first: list[Answer] = []
    errors: list[BaseException] = []
    start = threading.Barrier(2)

    def work(leaves: Leaves, answers: list[Answer] | None) -> None:
        try:
            start.wait(10.0)
            for _ in range(ROUNDS):
                returned = layer.returned(case, leaves)
                y = tensors.output(returned, case, layer.name)
                grads = tensors.gradients(y, leaves, case, layer.name) if gradient else NO_GRADIENTS
                if answers is not None:
                    answers.append(answer(layer, case, returned, grads))
        except BaseException as error:  # raised again in the calling thread
            errors.append(error)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [
            threading.Thread(target=work, args=(requested, answers_of_first)),
            threading.Thread(target=work, args=((other, requested[1], requested[2]), None)),
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(switch)
    for error in errors:
        raise error
    return max(answers_of_first, key=lambda one: _distance(one, single))


def _distance(one: Answer, other: Answer) -> float:
    pairs = ((one.y, other.y), (one.dx, other.dx), (one.dweight, other.dweight), (one.dbias, other.dbias))
    distances = [float(abs(a - b).max()) for a, b in pairs if a is not None and b is not None and a.size]
    return max((float("inf") if d != d else d for d in distances), default=0.0)  # noqa: PLR0124  # NaN counts as infinite


def _within(count: int) -> Callable[[Prepare, Case, bool], Answer]:
    """A plain call whose work torch divides among so many threads."""

    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        with tensors.threads(count):
            return run_layer(prepare(case), case, gradient)

    return use


@without_compiler()
def _checkpointed(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    from torch.utils.checkpoint import checkpoint  # noqa: PLC0415  # as torch has it where it is used

    layer = prepare(case)
    return run_layer(layer, case, gradient, lambda: checkpoint(layer.forward, *layer.leaves, use_reentrant=False))


USES: dict[str, Callable[[Prepare, Case, bool], Answer]] = {
    uses.PLAIN: _plain,
    **{use: lambda prepare, case, gradient: run_layer(prepare(case), case, gradient) for use in uses.FROZEN},
    uses.WIDE: lambda prepare, case, gradient: run_layer(prepare(case), case, gradient),
    "no grad": _under(torch.no_grad, backward=False),
    "inference mode": _under(torch.inference_mode, backward=False),
    uses.AUTOCAST: _under(lambda: torch.autocast("cpu", dtype=torch.bfloat16), backward=True),
    "deep copy": _copied(copy.deepcopy),
    "pickle": _copied(_pickled),
    "rewritten storage": _rewritten,
    "accumulated gradient": _accumulated,
    "two threads": _threads,
    uses.GRAPH_AGAIN: _graph_again,
    **{use: _within(count) for count, use in enumerate(uses.WITHIN, 1)},
    "vjp": functional.vjp,
    "jacrev": functional.jacrev,
    "vmap": functional.vmap,
    uses.JVP: functional.jvp,
    uses.SECOND: functional.second,
    uses.CHECKPOINT: _checkpointed,
    uses.COMPILED: compiled.compiled,
    uses.COMPILED_FOR_BATCHES: compiled.compiled_for_batches,
    uses.OBSERVED: functional.observed,
    uses.EXPORTED: functional.exported,
    uses.EXPORTED_FOR_ONE: exported.exported(any_batch=False),
    uses.EXPORTED_FOR_ANY: exported.exported(any_batch=True),
    uses.ONNX_FOR_ONE: exported.run_as_onnx(any_batch=False),
    uses.ONNX_FOR_ANY: exported.run_as_onnx(any_batch=True),
    **modes.USES,
}
"""The implementation of every use of `core.uses`, by name."""

assert set(USES) == {uses.PLAIN, *uses.ALL}
