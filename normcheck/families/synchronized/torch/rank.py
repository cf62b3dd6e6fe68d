"""One process of a divided normalizer: it joins the others, makes the layer, and runs its own shards."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.device import DEVICE, PROCESSOR
from normcheck.core.errors import IN_BACKWARD, CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import first_line
from normcheck.families.synchronized.case import Group, RankAnswer, RankCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.torch import devices, wrapping
from normcheck.families.synchronized.torch.devices import RankDevice
from normcheck.families.synchronized.torch.placing import LocalTensors, MeshTensors, Placing
from normcheck.families.synchronized.torch.signature import FUNCTION, HELD, INSTANCE, Taken, taken
from normcheck.frameworks.isolation.worker_group import WAITING
from normcheck.frameworks.load import loaded
from normcheck.frameworks.registry import candidates
from normcheck.frameworks.roles import Parameter
from normcheck.frameworks.torch.tensors import DTYPES, array, scalar_with_gradient

WAITED = (
    "gloo", "Timed out", "Connection closed", "Connection reset", "Broken pipe",  # of gloo
    "collective operation timeout", "ncclRemoteError", "NCCL communicator was aborted",  # of NCCL
)  # fmt: skip
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
    device: RankDevice


def join(place: RankPlace, entry: Synchronized, claim: Implementation) -> Rank:
    """Join the group of all processes, and bind the implementation. Raises `UsageError` if it cannot be bound."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=SHARE * place.seconds)
    DEVICE.set(place.device.name)
    with devices.connecting():
        if place.device.name != PROCESSOR:
            torch.cuda.set_device(place.device.name)  # what code makes without a number is there too
        dist.init_process_group(
            place.device.backend, init_method=f"file://{place.store}", rank=place.rank, world_size=place.ranks,
            timeout=limit,
        )  # fmt: skip
        dist.all_reduce(torch.zeros(1, device=DEVICE.get()))  # NCCL connects now, which takes no time of a call's limit
    target = loaded(claim.target)
    framework = candidates(target)
    if "torch" not in framework:
        raise UsageError(
            f"{claim.name} is code of {framework[0]}, which is not isolated: check it without --norm-isolate"
        )
    found, domain = taken(target, claim.name)
    placing = MeshTensors() if contract(claim.contract).tensors == "dtensor" else LocalTensors()
    return Rank(entry, claim.name, target, found, domain, placing, limit)


@dataclass(slots=True, eq=False)
class Rank:
    """The implementation in this process. Its method `run` is called in all processes at the same time."""

    entry: Synchronized
    name: str
    target: Any
    parameters: Mapping[str, Parameter]
    domain: Taken
    placing: Placing
    limit: timedelta
    _groups: dict[tuple[Group, ...], Any] = field(default_factory=dict)

    def run(self, cases: Sequence[RankCase], gradient: bool) -> tuple[RankAnswer, ...]:
        """The answers of one layer to several shards in turn. Raises `CallError` if it raises.

        Where a case has a wrapper and the next one has none, the layer is saved, and a new one loads its full state.
        """
        layer, out = self._layer(cases[0]), []
        for case in cases:
            if layer.wrapper and not case.wrapper:
                layer = self._loaded(layer, case)
            out.append(self._answer(layer, case, gradient=gradient))
        return tuple(out)

    def _group(self, case: RankCase) -> Any:
        """The process group of this rank in a case: made by all processes together, at the first case that has it."""
        if len(case.groups) == 1:
            return dist.group.WORLD
        if case.groups not in self._groups:
            with devices.connecting():
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

    def _axis(self, role: str, case: RankCase) -> int | None:
        """The axis along which an array is divided; None if every process has all of it."""
        if role == "input" or case.axis is None:
            return case.axis
        return 0 if role in ("weight", "bias") and self.entry.divides_parameters else None

    def _tensor(self, role: str, case: RankCase) -> torch.Tensor | None:
        values = case.x if role == "input" else getattr(case, role)
        return None if values is None else self.placing.given(values, case, self._axis(role, case))

    def _units(self, case: RankCase) -> int:
        """The number of channels, or the width, that the code under test sees."""
        own = case.x.shape[1 if self.entry.state else -1]
        return self.placing.size(own, case) if self.entry.divides_parameters else own

    def _new(self, case: RankCase) -> torch.nn.Module:
        """A new module, with the values that it starts with."""
        if self.domain.what == INSTANCE:
            same: torch.nn.Module = copy.deepcopy(self.target)
            return same
        values = {
            "units": self._units(case),
            "eps": case.eps,
            "momentum": case.momentum,
            "affine": case.weight is not None,
        }
        made: torch.nn.Module = self.target(**self._given(values, case))
        return made

    def _layer(self, case: RankCase) -> _Layer:
        held = {role: self._tensor(role, case) for role in HELD}
        with self._guarded(case):
            if self.domain.what == FUNCTION:
                return _Layer(held, None)

            def build() -> torch.nn.Module:
                return self._new(case).to(DTYPES[case.format])

            module = self.placing.layer(build().to(DEVICE.get()), self._axis("weight", case))
            with torch.no_grad():
                for role, value in held.items():
                    own = getattr(module, role, None)
                    if own is not None and value is not None:
                        own.copy_(value.reshape(own.shape))
        if not case.wrapper:
            return _Layer(held, module)
        with self._guarded(case, f" below {case.wrapper}"):
            return _Layer(held, wrapping.wrapped(build, case.wrapper, module.state_dict()), case.wrapper)

    def _loaded(self, layer: _Layer, case: RankCase) -> _Layer:
        """A new layer without a wrapper, which has the full state of one with a wrapper."""
        assert layer.module is not None, "a function has no wrapper"
        with self._guarded(case, f", in loading the state that was saved below {layer.wrapper}"):
            module = self._new(case).to(DEVICE.get(), DTYPES[case.format])
            module.load_state_dict(wrapping.saved(layer.module))
        return _Layer(layer.held, module)

    def _answer(self, layer: _Layer, case: RankCase, *, gradient: bool) -> RankAnswer:
        x = self._tensor("input", case)
        assert x is not None
        x.requires_grad_(gradient)
        present = {role: leaf for role in ("weight", "bias") if (leaf := layer.now(role)) is not None}
        for leaf in present.values():
            leaf.requires_grad_(gradient)
        with self._guarded(case), torch.set_grad_enabled(gradient):
            out = self._called(layer, x, case)
            y, placement = self.placing.output(_output(out, self.name), case, self.name)
        grads: dict[str, Array] = {}
        if gradient:
            grads = self._gradients(y, {"input": x, **present}, case)
        mean, var = (layer.now(role) for role in ("running_mean", "running_var"))
        return RankAnswer(
            self._array(y, "input", case), grads.get("input"), grads.get("weight"), grads.get("bias"),
            None if mean is None else self._array(mean, "running_mean", case),
            None if var is None else self._array(var, "running_var", case), placement,
        )  # fmt: skip

    def _gradients(self, y: torch.Tensor, leaves: Mapping[str, torch.Tensor], case: RankCase) -> dict[str, Array]:
        """The gradient of each leaf, by role."""
        if not y.requires_grad:
            said = "returned an output that does not require grad"
            raise CallError(f"{self.name} {said}", said)
        dy = self.placing.given(case.dy, case, case.axis).to(y.dtype)
        for leaf in leaves.values():
            leaf.grad = None
        with self._guarded(case, IN_BACKWARD):
            scalar_with_gradient(y, dy).backward()  # as in a step of training: wrappers act on .grad
        return {role: self._array(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, role, case)
                for role, leaf in leaves.items()}  # fmt: skip

    def _array(self, tensor: torch.Tensor, role: str, case: RankCase) -> Array:
        """The values of a tensor on this process; of one that a wrapper has sharded, all of them."""
        return array(wrapping.whole(tensor) if case.wrapper else self.placing.local(tensor, self._axis(role, case)))

    def _called(self, layer: _Layer, x: torch.Tensor, case: RankCase) -> Any:
        if layer.module is not None:
            return layer.module.train(case.training)(x)
        values = {**layer.held, "input": x, "normalized_shape": (self._units(case),), "training": case.training,
                  "momentum": case.momentum, "eps": case.eps}  # fmt: skip
        return self.target(**self._given(values, case))

    @contextlib.contextmanager
    def _guarded(self, case: RankCase, doing: str = "") -> Iterator[None]:
        """A call of user code: any exception becomes a `CallError` in one sentence; one of waiting says so."""
        try:
            yield
        except CallError:  # of what it has returned
            raise
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
    wrapper: str = ""

    def now(self, role: str) -> Any:
        """A tensor of its state, which a module may have replaced."""
        return self.held[role] if self.module is None else getattr(wrapping.inner(self.module), role, None)


def _output(found: Any, name: str) -> torch.Tensor:
    """The output of a call: a tensor, or the first of several values."""
    y = found[0] if isinstance(found, (tuple, list)) and found else found
    if not isinstance(y, torch.Tensor):
        said = f"returned {type(y).__name__}, not a tensor"
        raise CallError(f"{name} {said}", said)
    return y
