"""A torch module over several calls with its own buffers: saved, copied, moved and reset as users do it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from normcheck.core.device import DEVICE
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.roles import plain
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.changing import COUNTS
from normcheck.frameworks.torch.layer import NO_GRADIENTS, answer
from normcheck.frameworks.torch.module import (
    buffers,
    copied,
    layer_of,
    momentum_name,
    parameter_names,
    parameters,
    set_value,
)
from normcheck.normalizers import programs
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Life, State

RESET_METHOD = "reset_running_stats"
"""The method that resets running statistics."""

Build = Callable[[Case], torch.nn.Module]


def operations(sample: torch.nn.Module, *, rebuilt: bool, cumulative: bool) -> dict[str, str]:
    """Every operation of `programs` with the reason why the module does not support it, empty if it does.

    rebuilt: the module comes from a class, not from an instance. cumulative: momentum None means a cumulative average.
    """
    reasons = dict.fromkeys(programs.ALL, "")
    if not callable(getattr(sample, RESET_METHOD, None)):
        reasons[programs.RESET] = f"has no method {RESET_METHOD}"
    if not rebuilt:
        reasons[programs.RENEW] = "is an instance"
    if not momentum_name(sample):
        reasons |= dict.fromkeys(programs.MOMENTA, "has no attribute momentum")
    elif not cumulative:
        reasons |= {name: "keeps no cumulative average" for name, value in programs.MOMENTA.items() if value is None}
    return reasons


def _count(module: torch.nn.Module) -> int | None:
    """The number of training batches that the module has counted; None if it does not count them."""
    for name, value in (*module.named_buffers(), *vars(module).items()):
        if plain(name.rpartition(".")[2]) in COUNTS and isinstance(value, (int, torch.Tensor)):
            return int(value)
    return None


def _overwrite_statistics(module: torch.nn.Module) -> None:
    """Overwrite the running statistics of a module that was replaced: its copy must not share memory with it."""
    for statistic in buffers(module):
        if statistic is not None:
            statistic.fill_(77.0)


class TorchLife:
    """One module that keeps its state over several calls and operations (`Life`)."""

    def __init__(self, build: Build, name: str, case: Case) -> None:
        self._build, self._name, self._case = build, name, case
        self._module: torch.nn.Module = guarded(self._new, case, name)
        self._has_variance = buffers(self._module)[1] is not None  # false if it only subtracts the mean
        with torch.no_grad():
            for statistic, value in zip(buffers(self._module), (case.running_mean, case.running_var), strict=True):
                if statistic is not None and value is not None:
                    set_value(statistic, value, case, name)

    def _new(self) -> torch.nn.Module:
        """A new module with the case's parameters and momentum, and with its own initial running statistics."""
        case = self._case
        module = self._build(case).to(DEVICE.get(), tensors.dtype_of(case, "x"))
        with torch.no_grad():
            module_parameters = parameters(module, parameter_names(module))
            for parameter, value in zip(module_parameters, (case.weight, case.bias), strict=True):
                if parameter is not None and value is not None:
                    set_value(parameter, value, case, self._name)
        return module

    def call(self, case: Case, gradient: bool) -> Answer:
        self._module.train(case.training)
        x = tensors.given(case.x, case, "x")
        assert x is not None
        layer = layer_of(self._module, parameter_names(self._module), case, x, self._name)
        x.requires_grad_(gradient)
        returned = layer.returned(case)
        if not gradient:
            return answer(layer, case, returned, NO_GRADIENTS)
        y = tensors.output(returned, case, self._name)
        requested = tuple(leaf if leaf is not None and leaf.requires_grad else None for leaf in layer.leaves)
        return answer(layer, case, returned, tensors.gradients(y, requested, case, self._name))

    def do(self, operation: str) -> None:
        guarded(lambda: self._do(operation), self._case, self._name)

    def _do(self, operation: str) -> None:
        module = self._module
        if operation in programs.MOMENTA:
            setattr(module, momentum_name(module), programs.MOMENTA[operation])
        elif operation in programs.MOVES:
            self._module = module.to(tensors.DTYPES[programs.MOVES[operation]])
            self._case = programs.moved(self._case, operation)
        else:
            OTHER_OPERATIONS[operation](self)

    def _freeze(self) -> None:
        for parameter in self._module.parameters():
            parameter.requires_grad_(False)

    def _reset(self) -> None:
        reset: Any = getattr(self._module, RESET_METHOD)
        reset()

    def _renew(self) -> None:
        self._module = self._new()

    def _copy(self) -> None:
        old, self._module = self._module, copied(self._module)
        _overwrite_statistics(old)

    def _reload(self) -> None:
        """Load the state dict into a new module, constructed with the same options: a state dict has none."""
        old, new = self._module, self._new()
        new.load_state_dict(copy.deepcopy(old.state_dict()))
        if momentum_name(old):
            setattr(new, momentum_name(new), getattr(old, momentum_name(old)))
        self._module = new
        _overwrite_statistics(old)

    def state(self) -> State:
        mean, var = buffers(self._module)
        assert mean is not None, "the module has lost its running mean"
        assert var is not None or not self._has_variance, "the module has lost its running variance"
        var = torch.ones_like(mean) if var is None else var
        format_name = tensors.NAMES.get(mean.dtype, str(mean.dtype)) if mean.dtype == var.dtype else "of two dtypes"
        graph = any(one.requires_grad for one in self._module.buffers()) or mean.requires_grad or var.requires_grad
        arrays = tensors.array(mean.flatten()), tensors.array(var.flatten())
        return State(*arrays, format_name, _count(self._module), graph)


OTHER_OPERATIONS: dict[str, Callable[[TorchLife], None]] = {
    programs.FREEZE: TorchLife._freeze,  # noqa: SLF001  # its own table
    programs.RESET: TorchLife._reset,  # noqa: SLF001
    programs.RENEW: TorchLife._renew,  # noqa: SLF001
    programs.COPY: TorchLife._copy,  # noqa: SLF001
    programs.RELOAD: TorchLife._reload,  # noqa: SLF001
}
"""The operations other than changes of the momentum and moves between formats."""


def factory(build: Build, name: str) -> Callable[[Case], Life]:
    """A factory of modules that keep their state; each starts with the parameters and statistics of a case."""
    return lambda case: TorchLife(build, name, case)
