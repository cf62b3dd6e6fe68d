"""Layers of torch in refreshed coordinates: modules made of linear layers, with a method refresh."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import ENDS, first_line, quiet
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.space import ReparametrizedDraw, reparametrized_case
from normcheck.families.reparametrized.subject import ReparametrizedDomain, ReparametrizedSubject
from normcheck.frameworks.load import loaded
from normcheck.frameworks.roles import from_signature
from normcheck.frameworks.torch.tensors import DTYPES, array

KEYS = ("eps", "formats", "momentum", "slack")
"""Conventions that a refreshed layer has."""

DAMPINGS = {"eps": ("eps", "epsilon", "damping"), "alpha": ("alpha", "smoothing", "damping")}
"""For the damping of an entry's formula, the names under which constructors take it."""


@dataclass(frozen=True, slots=True)
class Constructor:
    """A user's class: the names of its arguments by role, and whether its momentum is the weight of the new batch."""

    target: Callable[..., Any]
    taken: Mapping[str, str]
    new: bool
    name: str

    def settings(self, case: ReparametrizedCase) -> dict[str, float]:
        """What it is given beside layers."""
        values = {"damping": case.damping, "momentum": case.newest if self.new else 1.0 - case.newest}
        return {self.taken[role]: value for role, value in values.items() if role in self.taken}


class TorchReparametrizedRun:
    """A user's layer that is called, refreshed and stepped."""

    def __init__(self, made: Constructor, case: ReparametrizedCase) -> None:
        self.made, self.case, self.name, self.dtype = made, case, made.name, DTYPES[case.format.name]
        self.given = self._linears(case)
        settings, name = made.settings(case), made.name
        self.module = self._guarded(lambda: made.target(*self.given, **settings), "its constructor")
        for method in ("refresh", "parameters", "__call__"):
            if not callable(getattr(self.module, method, None)):
                said = f"it returns {type(self.module).__name__}, which has no {method}"
                raise CallError(f"{name}: {said}; it must be a torch.nn.Module with a method refresh(x)", said)
        self.held = list(self.module.parameters())
        self.before = [p.detach().clone() for layer in self.given for p in layer.parameters()]

    def _linears(self, case: ReparametrizedCase) -> list[torch.nn.Linear]:
        """An affine layer, or inner, outer and shortcut: each matrix is one layer, with the vector that follows it."""
        out: list[torch.nn.Linear] = []
        for i, part in enumerate(case.weights):
            if part.ndim == 1:
                continue
            after = case.weights[i + 1] if i + 1 < len(case.weights) else None
            bias = after if after is not None and after.ndim == 1 else None
            made = torch.nn.Linear(part.shape[1], part.shape[0], bias=bias is not None, dtype=self.dtype)
            with torch.no_grad():
                made.weight.copy_(self._tensor(part))
                if bias is not None:
                    made.bias.copy_(self._tensor(bias))
            out.append(made)
        return out

    def _tensor(self, values: Array) -> torch.Tensor:
        return torch.tensor(values, dtype=self.dtype)

    def _guarded(self, doing: Callable[[], Any], where: str) -> Any:
        try:
            return doing()
        except ENDS:
            raise
        except BaseException as error:
            said = f"{where} raised {first_line(error)}"
            raise CallError(f"{self.name}: {said}", said) from error

    def outputs(self, x: Array) -> Array:
        with torch.no_grad():
            got = self._guarded(lambda: self.module(self._tensor(x)), "a call")
        if not isinstance(got, torch.Tensor) or got.ndim != 2 or len(got) != len(x):
            raise CallError(f"{self.name}: a call returned no tensor (cases, outputs) for {len(x)} cases")
        return array(got)

    def refresh(self, x: Array, dy: Array) -> None:
        taken = from_signature(self.module.refresh) or ()
        given = [self._tensor(part) for part in ((x, dy) if len(taken) > 1 else (x,))]
        self._guarded(lambda: self.module.refresh(*given), "refresh")

    def _backward(self, x: Array, dy: Array, held: list[torch.nn.Parameter]) -> torch.Tensor:
        """Gradients of some parameters; returns the input, which has one too."""
        for p in held:
            p.grad = None
        leaf = self._tensor(x).requires_grad_()
        y = self._guarded(lambda: self.module(leaf), "a call")
        self._guarded(lambda: y.backward(self._tensor(dy)), "backward")
        return leaf

    def step(self, x: Array, dy: Array, rate: float) -> None:
        self._backward(x, dy, self.held)
        with torch.no_grad():
            for p in self.held:  # as torch.optim.SGD does it, whose first use imports a compiler for seconds
                if p.grad is not None:
                    p.sub_(p.grad, alpha=rate)

    def gradient(self, x: Array, dy: Array, shape: tuple[int, ...]) -> Array:
        held = list(self.module.parameters())
        self._backward(x, dy, held)
        found = [p for p in held if tuple(p.shape) == shape]
        if len(found) != 1:
            size = "x".join(map(str, shape))
            raise CallError(f"{self.name}: {len(found)} of its parameters have the shape {size}; there must be one")
        return array(torch.zeros_like(found[0]) if found[0].grad is None else found[0].grad)

    def input_gradient(self, x: Array, dy: Array) -> Array:
        leaf = self._backward(x, dy, self.held)
        return array(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)

    def written(self) -> float:
        own = {id(p) for part in self.module.modules() if part in self.given for p in part.parameters()}
        now = [p for layer in self.given for p in layer.parameters()]
        changes = [float((p - was).abs().max()) for p, was in zip(now, self.before, strict=True) if id(p) not in own]
        return max(changes, default=0.0)

    def copied(self) -> TorchReparametrizedRun:
        twin = copy.copy(self)
        twin.module = self._guarded(lambda: copy.deepcopy(self.module), "a deep copy")
        twin.held = list(twin.module.parameters())
        return twin

    def reloaded(self) -> TorchReparametrizedRun:
        other = TorchReparametrizedRun(self.made, self.case)
        self._guarded(lambda: other.module.load_state_dict(self.module.state_dict()), "loading a saved state")
        return other


def _why(bound: ReparametrizedSubject, draw: ReparametrizedDraw, *, finite: bool = False) -> str:
    """Why a refresh and a step on the case of a draw fail; empty if they do not. finite: NaN is a failure too."""
    case = reparametrized_case(bound.entry, draw)
    try:
        run = bound.start(case)
        run.refresh(*case.batches[0])
        run.step(*case.batches[1], case.rate)
        y = run.outputs(case.probe)
    except CallError as error:
        return error.reason
    return "returns no finite numbers" if finite and not np.isfinite(y).all() else ""


def _taken(entry: Reparametrized, target: Callable[..., Any], name: str) -> dict[str, str]:
    """The constructor's names for damping and momentum, as far as it takes them."""
    known, count = DAMPINGS.get(entry.damping, ()), len(entry.arguments) - bool(entry.damping)
    parameters = from_signature(target) or []
    missing = [p.name for p in parameters[count:] if p.required and p.name not in (*known, "momentum")]
    if missing:
        layers = ", ".join(entry.arguments[:count])
        raise UsageError(f"{name} also requires {', '.join(missing)}; give defaults: it is called with {layers}")
    roles = {"damping": known, "momentum": ("momentum",)}
    return {role: p.name for role, names in roles.items() for p in parameters if p.name in names}


def subject(claim: Implementation, entry: Reparametrized) -> ReparametrizedSubject:
    """Bind a layer in refreshed coordinates.

    Raises `UsageError` if the target cannot be loaded or bound, or a refreshed layer has no such convention;
    `CallError` if it fails on every ordinary layer.
    """
    promised = contract(claim.contract)
    for key in words(promised):
        if key not in KEYS:
            raise UsageError(f"contract {key}: refreshed layers have no such convention; known: {', '.join(KEYS)}")
    with quiet():
        target = loaded(claim.target)
        if not callable(target) or isinstance(target, torch.nn.Module):
            layers = ", ".join(entry.arguments)
            raise UsageError(f"{claim.name} is no class or function that makes a module of {layers}")
        taken = _taken(entry, target, claim.name)
        if entry.damping and "damping" not in taken and promised.eps is None:
            raise UsageError(f"{claim.name} takes no {entry.damping}; say its value with --norm-contract eps=E")
        formats = tuple(f for f in promised.served if f in ReparametrizedDomain().formats)
        made = Constructor(target, taken, promised.momentum == "new", claim.name)
        bound = ReparametrizedSubject(
            claim.name, entry, promised, ReparametrizedDomain(formats), partial(TorchReparametrizedRun, made)
        )
        return replace(bound, domain=_discovered(bound, made))


def _discovered(bound: ReparametrizedSubject, made: Constructor) -> ReparametrizedDomain:
    """What it accepts, found by calling it."""
    usual = bound.entry.dampings[0] if bound.contract.eps is None else bound.contract.eps
    whys = {f: _why(bound, ReparametrizedDraw(format=f, damping=usual)) for f in bound.domain.formats}
    formats = tuple(f for f, why in whys.items() if not why)
    if not formats:
        raise CallError(next(iter(whys.values()), "none of the formats that the contract claims is known"))
    undamped = _why(bound, ReparametrizedDraw(format=formats[0])) if bound.entry.damping else ""
    absent = {"gradient": "the layer's steps are asked, not its gradients"}
    idle = "takes no momentum"
    if "momentum" in made.taken:
        idle = _why(bound, ReparametrizedDraw(format=formats[0], damping=usual, newest=0.0), finite=True)
        absent |= {"momentum": idle} if idle else {}
    absent |= {what: why for what, why in {**whys, "eps 0": undamped}.items() if why}
    case = reparametrized_case(bound.entry, ReparametrizedDraw(format=formats[0], damping=usual))
    saves = all(hasattr(TorchReparametrizedRun(made, case).module, name) for name in ("state_dict", "load_state_dict"))
    return ReparametrizedDomain(formats, not undamped, not idle, saves, absent)
