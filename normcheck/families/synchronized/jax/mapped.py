"""One function of a shard, mapped over a named axis of devices: its answers to a case, and their derivatives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import ENDS, first_line
from normcheck.families.synchronized.case import RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.jax import devices
from normcheck.families.synchronized.subject import Answers
from normcheck.frameworks.jax import arrays
from normcheck.frameworks.roles import Parameter

UNBOUND = re.compile(r"unbound axis name: (\w+)")
"""How JAX names an axis that code reduces over and that is not there."""

STATISTICS = ("running_mean", "running_var")


Settings = tuple[tuple[str, Any], ...]
"""What a program is compiled for: eps, momentum and whether it is training, by role."""


def _settings(case: RanksCase) -> Settings:
    return tuple((role, getattr(case.joined, role)) for role in ("eps", "momentum", "training"))


def named_axis(error: BaseException | None) -> str:
    """The name of an axis that a call has missed; empty if that is not its error."""
    found = UNBOUND.search(str(error)) if isinstance(error, NameError) else None
    return found[1] if found else ""


@dataclass(eq=False)
class MappedShards:
    """A function of one shard, and how it is called on all of them.

    Shards of the input, and parameters that are divided, are parts of one array along the axis of devices. Other
    parameters are replicated where their gradients are those of the joined input: JAX itself sums these. Where they are
    local, each device has its own copy, as running statistics have, which may differ.
    """

    entry: Synchronized
    name: str
    function: Any
    parameters: Mapping[str, Parameter]
    ranks: int
    axis: str
    differentiates: bool = False  # whether each call is compiled with its gradients: one program, not two
    _programs: dict[Any, Any] = field(default_factory=dict, init=False)

    @property
    def _mesh(self) -> Any:
        return devices.mesh(self.ranks, self.axis)

    def call(self, case: RanksCase, gradient: bool) -> Answers:
        """The answers of all devices. Raises `CallError` if the function raises."""
        (found,) = self._in_turn([case], gradient=gradient)
        return found

    def successive(self, cases: Sequence[RanksCase]) -> tuple[Answers, ...]:
        """The answers to several cases in turn; each device is given the running statistics that it has returned."""
        return tuple(self._in_turn(cases, gradient=False))

    def _in_turn(self, cases: Sequence[RanksCase], *, gradient: bool) -> list[Answers]:
        out: list[Answers] = []
        for case in cases:
            with arrays.precision(case.joined.format.name):
                out.append(self._answers(case, out[-1] if out else None, gradient=gradient))
        return out

    def _answers(self, case: RanksCase, before: Answers | None, *, gradient: bool) -> Answers:
        joined, dtype = case.joined, arrays.DTYPES[case.joined.format.name]
        given = {"input": joined.x, "weight": self._copies(joined.weight), "bias": self._copies(joined.bias)}
        differentiated = {role: np.asarray(a, dtype) for role, a in given.items() if a is not None}
        held = {role: np.asarray(self._state(case, role, before), dtype) for role in STATISTICS if self.entry.state}
        dy = np.asarray(joined.dy, dtype)

        try:
            y, state, gradients = self._program(_settings(case), gradient=gradient)(differentiated, held, dy)
        except ENDS:
            raise
        except CallError:
            raise
        except BaseException as error:
            said = f"raised {first_line(error)}"
            raise CallError(f"{self.name} {said}", said) from error
        return self._split(case, arrays.array(y), *({role: arrays.array(a) for role, a in some.items()}
                                                    for some in (gradients, state)))  # fmt: skip

    def _program(self, settings: Settings, *, gradient: bool) -> Any:
        """The function on all devices, compiled once for all cases of one shape and format with these settings."""
        gradient = gradient or self.differentiates
        key = (settings, gradient, self.axis)
        if key not in self._programs:
            self._programs[key] = jax.jit(partial(self._run, settings, gradient))
        return self._programs[key]

    def _run(
        self, settings: Settings, gradient: bool, leaves: dict[str, Any], held: dict[str, Any], dy: Any
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """The joined output, running statistics by device, and the gradients of the leaves if they are requested."""

        def joined(leaves: dict[str, Any]) -> Any:
            specs = {role: self._spec(role, a.ndim) for role, a in (leaves | held).items()}
            shard = jax.shard_map(
                partial(self._shard, settings), mesh=self._mesh, in_specs=(specs,),
                out_specs=(specs["input"], PartitionSpec(self.axis)), check_vma=False,
            )  # fmt: skip
            return shard(leaves | held)

        if not gradient:
            return *joined(leaves), {}
        y, pull, state = jax.vjp(joined, leaves, has_aux=True)
        return y, state, pull(dy.astype(y.dtype))[0]

    def _copies(self, parameter: Array | None) -> Array | None:
        """A parameter as it is divided or replicated, or a copy for each device."""
        if parameter is None or self.entry.divides_parameters or self.entry.reduces_parameters:
            return parameter
        return np.stack([parameter] * self.ranks)

    def _state(self, case: RanksCase, role: str, before: Answers | None) -> Array:
        kept = [getattr(answer, role) for answer in before or ()]
        return np.stack([getattr(case.joined, role) if one is None else one for one in kept or [None] * self.ranks])

    def _spec(self, role: str, ndim: int) -> PartitionSpec:
        if role == "input":
            return PartitionSpec(*[self.axis if i == self.entry.axis % ndim else None for i in range(ndim)])
        return (
            PartitionSpec()
            if role in ("weight", "bias") and self.entry.reduces_parameters
            else PartitionSpec(self.axis)
        )

    def _shard(self, settings: Settings, some: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The function on one device: its output, and its running statistics with an axis for the devices."""
        copied = not (self.entry.divides_parameters or self.entry.reduces_parameters)
        own = {role: a[0] if role in STATISTICS or (copied and role != "input") else a for role, a in some.items()}
        x = own["input"]
        values = {"weight": None, "bias": None, "normalized_shape": (x.shape[-1],), **dict(settings), **own,
                  "axis_name": self.axis}  # fmt: skip
        found = self.function(**{p.name: values[role] for role, p in self.parameters.items() if role in values})
        y, *state = found if isinstance(found, (tuple, list)) and found else (found,)
        if getattr(y, "shape", None) != x.shape:
            said = f"returned {getattr(y, 'shape', type(y).__name__)} for a shard of shape {x.shape}"
            raise CallError(f"{self.name} {said}: it must have the input's shape", said)
        state = list(state[0]) if len(state) == 1 and isinstance(state[0], (tuple, list)) else state
        kept = dict(zip(STATISTICS, state, strict=False)) if self.entry.state and len(state) >= len(STATISTICS) else {}
        return y, {role: a[None] for role, a in kept.items()}

    def _split(self, case: RanksCase, y: Array, gradients: Mapping[str, Array], state: Mapping[str, Array]) -> Answers:
        """The part of each device."""
        out = []
        for rank, span in zip(case.ranks, case.spans(), strict=True):
            parts = {role: self._part(case, role, a, rank, span) for role, a in gradients.items()}
            mean, var = (state[role][rank] if role in state else None for role in STATISTICS)
            own = case.part(y, span)
            assert own is not None
            out.append(RankAnswer(own, parts.get("input"), parts.get("weight"), parts.get("bias"), mean, var))
        return tuple(out)

    def _part(self, case: RanksCase, role: str, gradient: Array, rank: int, span: slice) -> Array | None:
        if role == "input" or self.entry.divides_parameters:
            return case.part(gradient, span)
        return gradient if self.entry.reduces_parameters else np.asarray(gradient[rank])
