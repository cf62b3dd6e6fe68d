"""One function of a shard, mapped over a named axis of devices: its answers to a case, and their derivatives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


def named_axis(error: BaseException) -> str:
    """The name of an axis that a call has missed; empty if that is not its error."""
    found = UNBOUND.search(str(error)) if isinstance(error, NameError) else None
    return found[1] if found else ""


@dataclass(eq=False)
class Mapped:
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

    @cached_property
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

        def run(leaves: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            specs = {role: self._spec(role, a.ndim) for role, a in (leaves | held).items()}
            shard = jax.shard_map(
                lambda some: self._shard(some, case), mesh=self._mesh, in_specs=(specs,),
                out_specs=(specs["input"], PartitionSpec(self.axis)), check_vma=False,
            )  # fmt: skip
            y, state = shard(leaves | held)
            return y, state

        def both(leaves: dict[str, Any], cotangent: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
            y, pull, state = jax.vjp(run, leaves, has_aux=True)
            return y, state, pull(cotangent.astype(y.dtype))[0] if gradient else {}

        try:
            y, state, gradients = jax.jit(both)(differentiated, dy)
        except ENDS:
            raise
        except CallError:
            raise
        except BaseException as error:
            said = f"raised {first_line(error)}"
            raise CallError(f"{self.name} {said}", said) from error
        return self._split(case, arrays.array(y), *({role: arrays.array(a) for role, a in some.items()}
                                                    for some in (gradients, state)))  # fmt: skip

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

    def _shard(self, some: dict[str, Any], case: RanksCase) -> tuple[Any, dict[str, Any]]:
        """The function on one device: its output, and its running statistics with an axis for the devices."""
        copied = not (self.entry.divides_parameters or self.entry.reduces_parameters)
        own = {role: a[0] if role in STATISTICS or (copied and role != "input") else a for role, a in some.items()}
        x = own["input"]
        values = {"weight": None, "bias": None, "normalized_shape": (x.shape[-1],), "training": case.joined.training,
                  "momentum": case.joined.momentum, "eps": case.joined.eps, "axis_name": self.axis, **own}  # fmt: skip
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
