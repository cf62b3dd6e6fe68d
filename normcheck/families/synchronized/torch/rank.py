"""One process of a divided normalizer: it joins the others, makes the layer, and runs its own shards."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from normcheck.core.claim import Implementation
from normcheck.core.errors import IN_BACKWARD, CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import first_line
from normcheck.families.synchronized.case import Group, RankAnswer, RankCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.frameworks.isolation.worker_group import WAITING
from normcheck.frameworks.load import load
from normcheck.frameworks.roles import NAMES, Parameter, from_signature
from normcheck.frameworks.torch.tensors import DTYPES, array, scalar_with_gradient

GROUP = ("process_group", "group", "pg", "tp_group", "sp_group", "parallel_group", "comm_group")
"""Names of a parameter that takes a process group."""

CALLED = {
    **{
        role: NAMES[role] for role in ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum")
    },
    "eps": NAMES["eps"],
    "process_group": GROUP,
}
"""Each role of a function's parameter, with the names that code gives to it."""

BUILT = {
    "units": (*NAMES["num_channels"], *NAMES["normalized_shape"]),
    "eps": NAMES["eps"],
    "momentum": NAMES["momentum"],
    "affine": NAMES["affine"],
    "process_group": GROUP,
}
"""The same for the parameters of a module's constructor."""

HELD = ("weight", "bias", "running_mean", "running_var")
"""What a module holds itself, under these names."""

WAITED = ("gloo", "Timed out", "Connection closed", "Connection reset", "Broken pipe")
"""Words of exceptions that torch.distributed raises in a process whose partner is late or gone."""

SHARE = 0.6
"""Share of the time limit of a call after which a collective call gives up, so that its cause is found in time."""


@dataclass(frozen=True, slots=True)
class RankPlace:
    """Where a process stands among the others. store: a file through which they find each other."""

    rank: int
    ranks: int
    store: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """The roles of an implementation's parameters, and of what its module holds."""

    roles: tuple[str, ...]


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Let gloo use the loopback interface, whatever the name of this machine resolves to."""
    name, value = "GLOO_SOCKET_IFNAME", "lo" if sys.platform.startswith("linux") else "lo0"
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def join(place: RankPlace, entry: Synchronized, claim: Implementation) -> Rank:
    """Join the group of all processes, and bind the implementation. Raises `UsageError` if it cannot be bound."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=SHARE * place.seconds)
    with _loopback():
        dist.init_process_group(
            "gloo", init_method=f"file://{place.store}", rank=place.rank, world_size=place.ranks, timeout=limit
        )
    target = load(claim.target) if isinstance(claim.target, str) else claim.target
    if not callable(target) or isinstance(target, torch.nn.Module):
        raise UsageError(f"{claim.name} is no function or module class: name what is called or constructed")
    a_module = inspect.isclass(target)
    found = _parameters(target, BUILT if a_module else CALLED, claim.name, "units" if a_module else "input")
    roles = set(found)
    if a_module:
        roles |= _held_by(target, found, claim.name) | {"training"}
    return Rank(entry, claim.name, target, found, a_module, Taken(tuple(sorted(roles))), limit)


def _parameters(target: Any, known: Mapping[str, tuple[str, ...]], name: str, first: str) -> dict[str, Parameter]:
    """The parameter of each role. Raises `UsageError` for a required parameter that has no role."""
    out: dict[str, Parameter] = {}
    for p in from_signature(target) or ():
        role = next((r for r, names in known.items() if p.name.lower().strip("_") in names and r not in out), "")
        if role:
            out[role] = p
        elif p.required:
            raise UsageError(f"{name} requires {p.name}, which is no part of this kind; known: {', '.join(known)}")
    if first not in out:
        raise UsageError(f"{name} has no parameter for {first}; name it {known[first][0]}")
    return out


def _held_by(target: Any, found: Mapping[str, Parameter], name: str) -> set[str]:
    """What a new module holds. Raises `UsageError` if it cannot be constructed."""
    given: dict[str, Any] = {found["units"].name: 2}
    if "process_group" in found and found["process_group"].required:
        given[found["process_group"].name] = dist.group.WORLD
    try:
        probe = target(**given)
    except Exception as error:
        raise UsageError(f"{name} cannot be constructed for 2 channels: {first_line(error)}") from error
    return {role for role in HELD if getattr(probe, role, None) is not None}


@dataclass(slots=True, eq=False)
class Rank:
    """The implementation in this process. Its method `run` is called in all processes at the same time."""

    entry: Synchronized
    name: str
    target: Any
    parameters: Mapping[str, Parameter]
    a_module: bool
    domain: Taken
    limit: timedelta
    _groups: dict[tuple[Group, ...], Any] = field(default_factory=dict)

    def run(self, cases: Sequence[RankCase], gradient: bool) -> tuple[RankAnswer, ...]:
        """The answers of one layer to several shards in turn. Raises `CallError` if it raises."""
        layer = self._layer(cases[0])
        return tuple(self._answer(layer, case, gradient=gradient) for case in cases)

    def _group(self, case: RankCase) -> Any:
        """The process group of this rank in a case: made by all processes together, at the first case that has it."""
        if len(case.groups) == 1:
            return dist.group.WORLD
        if case.groups not in self._groups:
            with _loopback():
                made = {ranks: dist.new_group(list(ranks), timeout=self.limit) for ranks in case.groups}
            self._groups[case.groups] = next(group for ranks, group in made.items() if case.rank in ranks)
        return self._groups[case.groups]

    def _given(self, values: Mapping[str, Any], case: RankCase) -> dict[str, Any]:
        """Arguments by name; the group is left out where it is that of all processes, and may be."""
        some = {p.name: values[role] for role, p in self.parameters.items() if role in values}
        group, taken = self._group(case), self.parameters.get("process_group")
        if taken is not None and (taken.required or len(case.groups) > 1):
            some[taken.name] = group
        return some

    def _layer(self, case: RankCase) -> _Layer:
        held = {role: _tensor(getattr(case, role), case) for role in HELD}
        with self._guarded(case):
            if not self.a_module:
                return _Layer(held, None)
            values = {
                "units": case.x.shape[1 if self.entry.state else -1],
                "eps": case.eps,
                "momentum": case.momentum,
                "affine": case.weight is not None,
            }
            module = self.target(**self._given(values, case)).to(DTYPES[case.format])
            with torch.no_grad():
                for role, value in held.items():
                    own = getattr(module, role, None)
                    if own is not None and value is not None:
                        own.copy_(value.reshape(own.shape))
            return _Layer(held, module)

    def _answer(self, layer: _Layer, case: RankCase, *, gradient: bool) -> RankAnswer:
        x = _tensor(case.x, case)
        assert x is not None
        leaves = {"input": x, "weight": layer.now("weight"), "bias": layer.now("bias")}
        present = {role: leaf for role, leaf in leaves.items() if leaf is not None}
        for leaf in present.values():
            leaf.requires_grad_(gradient)
        with self._guarded(case), torch.set_grad_enabled(gradient):
            out = self._called(layer, x, case)
        y = _output(out, x, self.name)
        grads: dict[str, Array | None] = {}
        if gradient:
            dy = torch.tensor(case.dy, dtype=y.dtype)
            if not y.requires_grad:
                said = "returned an output that does not require grad"
                raise CallError(f"{self.name} {said}", said)
            with self._guarded(case, IN_BACKWARD):
                some = torch.autograd.grad(scalar_with_gradient(y, dy), list(present.values()), allow_unused=True)
            grads = {role: array(torch.zeros_like(leaf) if g is None else g)
                     for (role, leaf), g in zip(present.items(), some, strict=True)}  # fmt: skip
        mean, var = (layer.now(role) for role in ("running_mean", "running_var"))
        return RankAnswer(
            array(y), grads.get("input"), grads.get("weight"), grads.get("bias"), None if mean is None else array(mean),
            None if var is None else array(var),
        )  # fmt: skip

    def _called(self, layer: _Layer, x: torch.Tensor, case: RankCase) -> Any:
        if layer.module is not None:
            return layer.module.train(case.training)(x)
        values = {**layer.held, "input": x, "training": case.training, "momentum": case.momentum, "eps": case.eps}
        return self.target(**self._given(values, case))

    @contextlib.contextmanager
    def _guarded(self, case: RankCase, doing: str = "") -> Iterator[None]:
        """A call of user code: any exception becomes a `CallError` in one sentence; one of waiting says so."""
        try:
            yield
        except BaseException as error:
            line = first_line(error)
            waits = isinstance(error, RuntimeError) and any(word in str(error) for word in WAITED)
            said = f"{WAITING if waits else ''}raised {line}{doing}"
            shape = "x".join(map(str, case.x.shape))
            raise CallError(f"{self.name} {said} (a {shape} {case.format} shard)", said) from error


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer that can be called again and again: a module, or a function with the tensors of its state."""

    held: dict[str, torch.Tensor | None]
    module: torch.nn.Module | None

    def now(self, role: str) -> Any:
        """A tensor of its state, which a module may have replaced."""
        return self.held[role] if self.module is None else getattr(self.module, role, None)


def _tensor(values: Array | None, case: RankCase) -> torch.Tensor | None:
    return None if values is None else torch.tensor(values.copy(), dtype=DTYPES[case.format])


def _output(found: Any, x: torch.Tensor, name: str) -> torch.Tensor:
    """The output of a call: a tensor of the input's shape, or the first of several values."""
    y = found[0] if isinstance(found, (tuple, list)) and found else found
    if not isinstance(y, torch.Tensor) or y.shape != x.shape:
        got = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise CallError(f"{name} returned {got} for an input of shape {tuple(x.shape)}: it must have the input's shape")
    return y
