"""Optimizers with torch's interface: classes that take parameters and a learning rate, and step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import ENDS, first_line, quiet
from normcheck.families.path_optimizer.case import ClosureCall, OptimizerCase, Parameters
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.path_optimizer.space import OptimizerDraw, optimizer_case
from normcheck.families.path_optimizer.subject import OptimizerDomain, OptimizerRun, OptimizerSubject
from normcheck.frameworks.load import loaded
from normcheck.frameworks.roles import from_signature
from normcheck.frameworks.torch.tensors import DTYPES, array

KEYS = ("eps", "formats", "slack")
"""Conventions that an optimizer has."""

RATES = ("lr", "learning_rate", "rate", "eta", "step_size")
"""Names under which a constructor takes the learning rate."""


class TorchOptimizerRun:
    """A user's optimizer that steps the parameters of a net."""

    def __init__(
        self, target: Callable[..., Any], rate_name: str, case: OptimizerCase, name: str, *, grouped: bool
    ) -> None:
        self.target, self.rate_name, self.name, self.case, self.grouped = target, rate_name, name, case, grouped
        dtype = DTYPES[case.format.name]
        self.held = [torch.nn.Parameter(torch.tensor(p, dtype=dtype)) for p in case.parameters]
        self.optimizer = self._guarded(self._built, "its constructor")

    def _built(self) -> Any:
        given: Any = [{"params": [p]} for p in self.held] if self.grouped else list(self.held)
        return self.target(given, **{self.rate_name: self.case.rate})

    def _guarded(self, doing: Callable[[], Any], where: str) -> Any:
        try:
            return doing()
        except ENDS:
            raise
        except BaseException as error:
            said = f"{where} raised {first_line(error)}"
            raise CallError(f"{self.name}: {said} (a net of {self._sizes()} weights)", said) from error

    def _sizes(self) -> str:
        return ", ".join("x".join(map(str, p.shape)) for p in self.held)

    def parameters(self) -> Parameters:
        return tuple(array(p) for p in self.held)

    def gradients(self) -> tuple[Array | None, ...]:
        return tuple(None if p.grad is None else array(p.grad) for p in self.held)

    def _set(self, gradients: Sequence[Array | None]) -> None:
        for p, g in zip(self.held, gradients, strict=True):
            p.grad = None if g is None else torch.tensor(g, dtype=p.dtype)

    def step(self, gradients: Sequence[Array | None]) -> None:
        self._set(gradients)
        self._guarded(self.optimizer.step, "step()")

    def step_with_closure(self, gradients: Sequence[Array], loss: float) -> ClosureCall:
        seen: list[bool] = []

        def closure() -> torch.Tensor:
            seen.append(torch.is_grad_enabled())
            self._set(gradients)
            return torch.tensor(loss)

        returned = self._guarded(lambda: self.optimizer.step(closure), "step(closure)")
        number = float(returned) if isinstance(returned, (float, int, torch.Tensor)) else None
        return ClosureCall(len(seen), all(seen), number)

    def set_rate(self, rate: float) -> None:
        self._guarded(lambda: self._write(cycle((rate,))), "setting lr in param_groups")

    def set_rates(self, rates: Sequence[float]) -> None:
        self._guarded(lambda: self._write(rates), "setting lr in param_groups")

    def _write(self, rates: Iterable[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=False):
            group["lr"] = rate

    def resume(self) -> None:
        saved = self._guarded(self.optimizer.state_dict, "state_dict()")
        self.optimizer = self._guarded(self._built, "its constructor")
        for group in getattr(self.optimizer, "param_groups", ()):
            group["lr"] = 2.0 * self.case.rate  # what a saved state must replace
        self._guarded(lambda: self.optimizer.load_state_dict(saved), "load_state_dict()")


def _why(subject: OptimizerSubject, draw: OptimizerDraw, *, grouped: bool = False) -> str:
    """Why a step on the net of a draw fails; empty if it does not."""
    case = optimizer_case(subject.entry, draw)
    try:
        subject.start(case, grouped).step(case.gradients[0])
    except CallError as error:
        return error.reason
    return ""


def subject(claim: Implementation, entry: PathOptimizer) -> OptimizerSubject:
    """Bind an optimizer.

    Raises `UsageError` if the target cannot be loaded or is no optimizer, or an optimizer has no such convention;
    `CallError` if it fails on every ordinary net.
    """
    promised = contract(claim.contract)
    for key in words(promised):
        if key not in KEYS:
            raise UsageError(f"contract {key}: an optimizer has no such convention; known: {', '.join(KEYS)}")
    with quiet():
        target = loaded(claim.target)
        made = _constructed(target, claim.name)
        domain = OptimizerDomain(formats=tuple(f for f in promised.served if f in OptimizerDomain().formats))
        bound = OptimizerSubject(claim.name, entry, promised, domain, made)
        return replace(bound, domain=_discovered(bound))


def _constructed(target: Any, name: str) -> Callable[[OptimizerCase, bool], OptimizerRun]:
    if isinstance(target, torch.optim.Optimizer):
        raise UsageError(f"{name} is an optimizer of some net already: name the class, or a function that builds one")
    if not callable(target) or (inspect.isclass(target) and issubclass(target, torch.nn.Module)):
        raise UsageError(
            f"{name} is no optimizer: name a class or function that takes (params, lr), as torch.optim.SGD does"
        )
    found = from_signature(target) or []
    names = [p.name for p in found]
    rate = next((n for n in RATES if n in names), "lr")
    missing = [p.name for p in found[1:] if p.required and p.name != rate]
    if missing:
        raise UsageError(f"{name} also requires {', '.join(missing)}; give defaults: it is called as (params, lr)")
    return lambda case, grouped: TorchOptimizerRun(target, rate, case, name, grouped=grouped)


def _discovered(bound: OptimizerSubject) -> OptimizerDomain:
    """What it accepts, found by steps on small nets."""
    absent = {"gradient": "an optimizer is given its gradients"}
    whys = {f: _why(bound, OptimizerDraw(format=f)) for f in bound.domain.formats}
    formats = tuple(f for f, why in whys.items() if not why)
    if not formats:
        raise CallError(next(iter(whys.values()), "none of the formats that the contract claims is known"))
    absent |= {f: why for f, why in whys.items() if why}
    plain = OptimizerDraw(format=formats[0])
    biases = _why(bound, replace(plain, biases=True))
    groups = _why(bound, plain, grouped=True)
    absent |= {"biases": biases} if biases else {}
    absent |= {"groups": groups} if groups else {}
    return OptimizerDomain(formats, not biases, not groups, absent)
