"""A module in evaluation mode, as it is deployed: frozen, and with parameters that change between two calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch

from normcheck.core import uses
from normcheck.core.errors import CallError
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.torch.layer import Prepare, PreparedLayer, run_layer
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer


def _module(layer: PreparedLayer) -> torch.nn.Module:
    if layer.module is None:
        raise CallError(f"{layer.name} is no module")
    return layer.module


@contextmanager
def _evaluating(layer: PreparedLayer, changed: list[str]) -> Iterator[None]:
    """The module in evaluation mode, and in its own mode again after that; changed: what that changes beside."""
    module = _module(layer)
    before, flags = module.training, _flags(module)
    returned = [module.eval()]
    evaluating = _flags(module)
    try:
        yield
    finally:
        for name, one in module.named_parameters():
            one.requires_grad_(evaluating.get(name, one.requires_grad))  # a use may have frozen it
        returned.append(module.train(before))
        now = _flags(module)
        changed += [f"requires_grad of {name}" for name in now if now[name] != flags.get(name)]
        changed += [] if all(one is module for one in returned) else [uses.NOT_RETURNED]


def _flags(module: torch.nn.Module) -> dict[str, bool]:
    return {name: one.requires_grad for name, one in module.named_parameters()}


TRAINED_ON = dict(zip(uses.EVALUATED, (2.0**-8, 2.0**8), strict=True))
"""What the input of a training batch is multiplied by that a module sees before it is evaluated."""


def _evaluated(prepare: Prepare, case: Case, gradient: bool) -> Answer:
    """A call after one on the first case alone, of a module that was trained: what is kept of both is of another size.

    The module is a new one, if it can be: what was kept of the calls of other checks may be of any size.
    """
    layer = prepare(case)
    layer = layer if layer.fresh is None else layer.fresh()
    x, weight, bias = layer.leaves
    assert x is not None
    changed: list[str] = []
    with suppress(CallError), torch.no_grad():
        layer.returned(case, (TRAINED_ON[case.use] * x.detach(), weight, bias))
    with _evaluating(layer, changed):
        if x.ndim > case.normalized and x.shape[0] > 1:
            with suppress(CallError), torch.no_grad():
                layer.returned(case, (x[:1].detach(), weight, bias))
        found = run_layer(layer, case, gradient)
    return replace(found, changed=tuple(changed))


Assign = Callable[[torch.nn.Module, str, torch.Tensor], object]
"""Gives a parameter of a module, which is named, a value."""


def _place(module: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str]:
    """The module that holds a parameter, and its name there."""
    path, _, last = name.rpartition(".")
    return dict(module.named_modules())[path], last  # a scripted module has no method get_submodule


def _replace(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    holder, last = _place(module, name)
    setattr(holder, last, torch.nn.Parameter(value))


def _swap_data(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    dict(module.named_parameters())[name].data = value


def _copy_in(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    dict(module.named_parameters())[name].copy_(value)


def _load(module: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    module.load_state_dict({**module.state_dict(), name: value})


def _changed(assign: Assign) -> Callable[[Prepare, Case, bool], Answer]:
    """The answer of a module without gradients, after a call with other values of its parameters."""

    def use(prepare: Prepare, case: Case, gradient: bool) -> Answer:
        layer = prepare(case)
        module, rebuilt = _module(layer), layer.rebuilt
        assert rebuilt is not None, "a layer with a module can be rebuilt"
        held = [id(one) for _, one in module.named_parameters(remove_duplicate=False)]
        own = {id(leaf): leaf for leaf in layer.leaves[1:] if leaf is not None and held.count(id(leaf)) == 1}
        names = {name: own[id(one)] for name, one in module.named_parameters() if id(one) in own}
        if not names:
            raise CallError(f"{layer.name} has no parameters that can change")
        wanted = {name: leaf.detach().clone() for name, leaf in names.items()}
        with torch.no_grad():
            for leaf in names.values():
                leaf.copy_(0.5 - 1.5 * leaf)
        with _evaluating(layer, []), torch.no_grad():
            layer.returned(case)
            try:
                guarded(lambda: [assign(module, name, value) for name, value in wanted.items()], case, layer.name)
                return run_layer(rebuilt(module), case, gradient=False)
            finally:
                for name, leaf in names.items():
                    with suppress(Exception):
                        holder, last = _place(module, name)
                        setattr(holder, last, leaf)  # other calls hold on to the parameters as they were

    return use


USES: dict[str, Callable[[Prepare, Case, bool], Any]] = {
    **dict.fromkeys(uses.EVALUATED, _evaluated),
    **dict(zip(uses.CHANGED, map(_changed, (_copy_in, _swap_data, _replace, _load)), strict=True)),
}
"""The implementation of each of these uses, by name."""
