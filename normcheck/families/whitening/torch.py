"""Whitening layers of torch: functions and module classes over (cases, channels, *space)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, UsageError, lacking_gradient
from normcheck.core.floats import Array
from normcheck.core.foreign_code import ENDS, first_line, quiet
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.space import WhiteningDraw, whitening_case
from normcheck.families.whitening.subject import WhiteningDomain, WhiteningSubject
from normcheck.frameworks.guard import calling
from normcheck.frameworks.load import loaded
from normcheck.frameworks.roles import NAMES, from_signature
from normcheck.frameworks.torch.tensors import DTYPES, array

KEYS = ("eps", "formats", "slack")
"""Conventions that whitening has."""

CALLED = {
    **{role: NAMES[role] for role in ("input", "running_mean", "weight", "bias", "training", "momentum", "eps")},
    "running_cov": ("running_cov", "running_covariance", "moving_cov", "running_matrix", "cov"),
    "groups": NAMES["num_groups"],
}
"""Each role of a function's parameter, with the names that code gives to it."""

BUILT = {
    "channels": NAMES["num_channels"],
    "groups": NAMES["num_groups"],
    "eps": NAMES["eps"],
    "momentum": NAMES["momentum"],
    "affine": NAMES["affine"],
}
"""The same for the parameters of a module's constructor."""

HELD = ("weight", "bias", "running_mean", "running_cov")
"""What a module holds itself, under these names."""

Tensors = dict[str, torch.Tensor | None]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that can be called again and again, and the tensors by role that hold its input and its state."""

    call: Callable[[WhiteningCase], Any]
    held: Tensors
    module: torch.nn.Module | None = None

    def now(self, role: str) -> torch.Tensor | None:
        """A tensor of its state after a call, in which a module may have replaced it."""
        found: torch.Tensor | None = self.held[role] if self.module is None else getattr(self.module, role, None)
        return found


Make = Callable[[Tensors, WhiteningCase], Layer]
"""Makes a layer with the parameters and statistics of a case, from tensors by role."""


def _roles(target: Any, known: Mapping[str, tuple[str, ...]], name: str, first: str) -> dict[str, str]:
    """The parameter's name for each role. Raises `UsageError` for a required parameter that has no role."""
    out: dict[str, str] = {}
    for p in from_signature(target) or ():
        role = next((r for r, names in known.items() if p.name.lower().strip("_") in names and r not in out), "")
        if role:
            out[role] = p.name
        elif p.required:
            raise UsageError(f"{name} requires {p.name}, which is no part of whitening; known: {', '.join(known)}")
    if first not in out:
        raise UsageError(f"{name} has no parameter for {first}; name it {known[first][0]}")
    return out


def _function(target: Any, name: str) -> tuple[Make, dict[str, str]]:
    roles = _roles(target, CALLED, name, "input")

    def make(held: Tensors, _case: WhiteningCase) -> Layer:
        def call(case: WhiteningCase) -> Any:
            values: dict[str, Any] = {**held, "training": case.training, "momentum": case.momentum, "eps": case.eps,
                                      "groups": case.groups}  # fmt: skip
            x, rest = values.pop("input"), {roles[r]: v for r, v in values.items() if r in roles}
            return target(x, **rest)

        return Layer(call, held)

    return make, roles


def _layer_of(module: torch.nn.Module, x: torch.Tensor | None) -> Layer:
    """A module as a layer whose input is x."""
    held: Tensors = {"input": x, **{role: getattr(module, role, None) for role in HELD}}
    return Layer(lambda case: module.train(case.training)(x), held, module)


def _module(target: Any, name: str) -> tuple[Make, dict[str, str]]:
    roles = _roles(target, BUILT, name, "channels")

    def make(held: Tensors, case: WhiteningCase) -> Layer:
        values = {"channels": case.x.shape[1], "groups": case.groups, "eps": case.eps, "momentum": case.momentum,
                  "affine": case.weight is not None}  # fmt: skip
        module = target(**{roles[r]: v for r, v in values.items() if r in roles}).to(DTYPES[case.format.name])
        layer = _layer_of(module, held["input"])
        with torch.no_grad():
            for role in HELD:
                own, value = layer.held[role], held[role]
                if own is not None and value is not None:
                    own.copy_(value.reshape(own.shape))
        return layer

    try:
        probe = target(**{roles["channels"]: 2})
    except ENDS:
        raise
    except BaseException as error:
        raise UsageError(f"{name} cannot be constructed for 2 channels: {first_line(error)}") from error
    own = {role: role for role in HELD if getattr(probe, role, None) is not None}
    return make, {**roles, **own, "training": "training"}


def _tensors(case: WhiteningCase, *, gradient: bool) -> Tensors:
    dtype = DTYPES[case.format.name]
    arrays = {"input": case.x} | {role: getattr(case, role) for role in HELD}
    held: Tensors = {n: None if a is None else torch.tensor(a.copy(), dtype=dtype) for n, a in arrays.items()}
    for role in ("input", "weight", "bias"):
        value = held[role]
        if value is not None:
            value.requires_grad_(gradient)
    return held


def _output(layer: Layer, name: str, case: WhiteningCase) -> torch.Tensor:
    """What a layer returns for its input, in the mode of a case."""
    with calling(case, name):
        out = layer.call(case)
    y = out[0] if isinstance(out, (tuple, list)) else out
    if not isinstance(y, torch.Tensor) or tuple(y.shape) != case.x.shape:
        got = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise CallError(f"{name} returned {got} for an input of shape {case.x.shape}: it must have the input's shape")
    return y


def _answer(layer: Layer, y: torch.Tensor, case: WhiteningCase, grads: Mapping[str, Array | None]) -> WhiteningAnswer:
    mean, cov = layer.now("running_mean"), layer.now("running_cov")
    return WhiteningAnswer(
        array(y), grads.get("input"), grads.get("weight"), grads.get("bias"), None if mean is None else array(mean),
        None if cov is None else array(cov).reshape(case.running_cov.shape),
    )  # fmt: skip


def _called(layer: Layer, name: str, case: WhiteningCase, *, gradient: bool = False) -> WhiteningAnswer:
    """The answer of a layer to another case, whose input is copied to where that of its last call was."""
    x = layer.held["input"]
    assert x is not None
    with torch.no_grad():
        x.copy_(torch.tensor(case.x.copy()))
    with torch.set_grad_enabled(gradient):
        return _answer(layer, _output(layer, name, case), case, {})


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls layers of a target: a new one, one several times, copies of one."""

    make: Make
    name: str

    def new(self, case: WhiteningCase, *, gradient: bool) -> Layer:
        with calling(case, self.name):
            return self.make(_tensors(case, gradient=gradient), case)

    def successive(self, cases: Sequence[WhiteningCase]) -> tuple[WhiteningAnswer, ...]:
        layer = self.new(cases[0], gradient=False)
        return tuple(_called(layer, self.name, case, gradient=i == 0) for i, case in enumerate(cases))

    def restored(self, cases: Sequence[WhiteningCase]) -> Mapping[str, WhiteningAnswer]:
        layer, last = self.new(cases[0], gradient=False), cases[-1]
        for case in cases[:-1]:
            _called(layer, self.name, case)
        module, x = layer.module, layer.held["input"]
        assert module is not None
        with calling(last, self.name, " in a deep copy, or in saving and loading"):
            copied = copy.deepcopy(module)
            other = self.make({**dict.fromkeys(HELD), "input": x}, last)
            assert other.module is not None
            other.module.load_state_dict(module.state_dict())
        layers = {"itself": layer, "a deep copy": _layer_of(copied, x), "a loaded layer": other}
        return {what: _called(one, self.name, last) for what, one in layers.items()}


def _call(caller: Caller, case: WhiteningCase, gradient: bool) -> WhiteningAnswer:
    name, layer = caller.name, caller.new(case, gradient=gradient)
    held, y = layer.held, _output(layer, caller.name, case)
    grads: dict[str, Array | None] = {}
    if gradient:
        leaves = {role: held[role] for role in ("input", "weight", "bias")}
        given = [leaf for leaf in leaves.values() if leaf is not None]
        owners = {"input": case.x, "weight": case.weight, "bias": case.bias}
        dy = torch.tensor(case.dy, dtype=y.dtype)
        if not y.requires_grad:
            raise CallError(f"{name} returned an output that does not require grad", "the output has no gradient")
        with calling(case, name, " in its backward"):
            found = iter(torch.autograd.grad(y, given, dy, allow_unused=True))
        for role, leaf in leaves.items():
            got_one = None if leaf is None else next(found)
            if leaf is not None:
                owner = owners[role]
                grad = array(torch.zeros_like(leaf) if got_one is None else got_one)
                grads[role] = grad if owner is None else grad.reshape(owner.shape)  # a layer may hold it with more axes
    return _answer(layer, y, case, grads)


def subject(claim: Implementation, entry: Whitening) -> WhiteningSubject:
    """Bind a whitening layer.

    Raises `UsageError` if the target cannot be loaded or bound, or whitening has no such convention; `CallError` if it
    fails on every ordinary batch.
    """
    promised = contract(claim.contract)
    for key in words(promised):
        if key not in KEYS:
            raise UsageError(f"contract {key}: whitening has no such convention; known: {', '.join(KEYS)}")
    with quiet():
        target = loaded(claim.target)
        if not callable(target) or isinstance(target, torch.nn.Module):
            raise UsageError(f"{claim.name} is no function or module class: name what is called or constructed")
        a_module = inspect.isclass(target)
        make, roles = (_module if a_module else _function)(target, claim.name)
        if "eps" not in roles and promised.eps is None:
            raise UsageError(f"{claim.name} takes no eps; say which it has with --norm-contract eps=E")
        caller = Caller(make, claim.name)
        formats = tuple(f for f in promised.served if f in WhiteningDomain().formats)
        bound = WhiteningSubject(
            claim.name, entry, promised, WhiteningDomain(formats=formats), partial(_call, caller), caller.successive,
            caller.restored,
        )  # fmt: skip
        return replace(bound, domain=replace(_discovered(bound, roles), module=a_module))


def _why(bound: WhiteningSubject, draw: WhiteningDraw, *, gradient: bool = False) -> str:
    """Why a call on the batch of a draw fails; empty if it does not."""
    try:
        bound.call(whitening_case(bound.entry, draw), gradient)
    except CallError as error:
        return error.reason
    return ""


def _discovered(bound: WhiteningSubject, roles: Mapping[str, str]) -> WhiteningDomain:
    """What it accepts, by its parameters and by calling it."""
    takes = {role: role in roles for role in (*CALLED, *BUILT)}
    affine = takes["weight"] and takes["bias"]
    eps = bound.contract.eps
    plain = WhiteningDraw(affine=affine) if eps is None else WhiteningDraw(affine=affine, eps=eps)
    whys: dict[str, str] = {f: _why(bound, replace(plain, format=f)) for f in bound.domain.formats}
    formats = tuple(f for f, why in whys.items() if not why)
    if not formats:
        raise CallError(next(iter(whys.values()), "none of the formats that the contract claims is known"))
    plain = replace(plain, format=formats[0])
    ranks = {r: _why(bound, replace(plain, rank=r)) for r in WhiteningDomain().ranks}
    statistics = takes["running_mean"] and takes["running_cov"]
    offered = {
        "groups": _why(bound, replace(plain, groups=2)) if takes["groups"] else "has no parameter for groups",
        "weight and bias": "" if affine else "has no weight and bias",
        "running statistics": "" if statistics and takes["momentum"] else "keeps no running_mean and running_cov",
        "evaluation": _why(bound, replace(plain, training=False))
        if statistics and takes["training"]
        else "takes no running_mean, running_cov and training",
        "gradient": lacking_gradient(_why(bound, plain, gradient=True)),
    }
    lacking = {**whys, **{f"rank {r}": why for r, why in ranks.items()}, **offered}
    return WhiteningDomain(
        formats, tuple(r for r, why in ranks.items() if not why), not offered["groups"], affine,
        not offered["evaluation"], not offered["running statistics"], not offered["gradient"],
        absent={what: why for what, why in lacking.items() if why},
    )  # fmt: skip
