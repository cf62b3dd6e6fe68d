"""Binding a function of JAX or a layer of flax: the roles of its parameters, its axis, and what it accepts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.device import DEVICE, PROCESSOR
from normcheck.core.errors import CallError, UsageError, lacking_gradient
from normcheck.families.synchronized import conventions
from normcheck.families.synchronized.case import DIVIDED
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.jax import devices, flax_layers
from normcheck.families.synchronized.jax.mapped import MappedShards, named_axis
from normcheck.families.synchronized.space import SynchronizedDraw, ranks_case
from normcheck.families.synchronized.subject import SynchronizedDomain, SynchronizedSubject
from normcheck.frameworks.load import loaded
from normcheck.frameworks.roles import Parameter

AXIS = "ranks"
"""The name of the axis of devices, where the code is told it."""

TAKES = {**conventions.CALLED, "axis_name": (*flax_layers.AXIS_NAMES, "name")}
"""Each role of a parameter, with the names that code gives to it."""

NO_WRAPPER = "is code of JAX, and these are wrappers of torch"

MAPPED = {
    "unequal shards": "all shards of a mapped function have one shape",
    "process groups": "a function is mapped over one named axis",
}
"""What no function of JAX is asked, with the reason."""


def subject(claim: Implementation, entry: Synchronized) -> SynchronizedSubject:
    """Bind a function of one shard or a class of layers. Raises `UsageError` or, if it always fails, `CallError`."""
    target = loaded(claim.target)
    if DEVICE.get() != PROCESSOR:
        said = "a function of JAX is mapped over devices of the CPU"
        raise UsageError(f"{claim.name}: {said}: check it without --norm-device")
    devices.ask_for_devices()  # before a layer is made
    layer = flax_layers.as_function(target, entry, claim.name)
    if layer is None and (inspect.isclass(target) or not callable(target)):
        said = "name a function of one shard or a class of flax, which is mapped over devices"
        raise UsageError(f"{claim.name} is no function: {said}")
    promised = contract(claim.contract)
    conventions.known(promised, entry)
    if promised.tensors != type(promised)().tensors:
        raise UsageError(f"contract tensors={promised.tensors}: arrays of JAX are no DTensors")
    target, found = layer or (target, conventions.parameters(target, TAKES, claim.name, "input"))
    roles = frozenset(found)
    conventions.eps_known(promised, roles, claim.name)
    mapped = MappedShards(entry, claim.name, target, found, int(promised.ranks), AXIS)
    formats = tuple(name for name in promised.served if name in SynchronizedDomain().formats)
    domain = SynchronizedDomain(
        formats=formats, groups=False, wrappers=(), no_wrapper=NO_WRAPPER, shards=("equal",), placements=(DIVIDED,)
    )
    bound = SynchronizedSubject(claim.name, entry, promised, domain, mapped.call, mapped.successive)
    if "axis_name" not in roles:
        mapped.axis = _own_axis(bound)
    return replace(bound, domain=_discovered(bound, mapped, found))


def _own_axis(bound: SynchronizedSubject) -> str:
    """The name that code gives to its axis itself: the error of a call without that axis says it."""
    try:
        bound.call(ranks_case(bound.entry, _plain(bound)), False)
    except CallError as error:
        return named_axis(error.__cause__) or AXIS
    return AXIS


def _plain(bound: SynchronizedSubject) -> SynchronizedDraw:
    draw = SynchronizedDraw(ranks=int(bound.contract.ranks), shards="equal", format=bound.domain.formats[0])
    return draw if bound.contract.eps is None else replace(draw, eps=bound.contract.eps)


def _discovered(bound: SynchronizedSubject, mapped: MappedShards, found: Mapping[str, Parameter]) -> SynchronizedDomain:
    """What it accepts, by its parameters and by calling it."""
    roles, required = frozenset(found), conventions.requires_weight(found)
    entry, lacking = bound.entry, conventions.lacking(bound.entry, roles)
    plain = replace(_plain(bound), affine=not lacking)
    gradient = lacking_gradient(_why(bound, plain, gradient=True))
    mapped.differentiates = not gradient
    whys = {name: _why(bound, replace(plain, format=name)) for name in bound.domain.formats}
    formats = tuple(name for name, why in whys.items() if not why)
    if not formats:
        why = next(iter(whys.values()))
        raise CallError(f"{bound.name} {why}", why)
    plain = replace(plain, format=formats[0])
    offered = {"weight and bias": lacking, "gradient": gradient, **MAPPED}
    if entry.state:
        offered |= {
            "running statistics": _no_statistics(bound, plain, roles),
            "evaluation": _why(bound, replace(plain, training=False))
            if {"running_mean", "running_var", "training"} <= roles
            else "takes no running_mean, running_var and training",
        }
    return replace(
        bound.domain,
        formats=formats,
        affine=not lacking,
        bare=bool(lacking) or not required or not _why(bound, replace(plain, affine=False)),
        gradient=not offered["gradient"],
        running=not offered.get("running statistics", "-"),
        evaluation=not offered.get("evaluation", "-"),
        absent={what: why for what, why in {**whys, **offered}.items() if why},
    )


def _no_statistics(bound: SynchronizedSubject, plain: SynchronizedDraw, roles: frozenset[str]) -> str:
    """Why running statistics cannot be checked; empty if they can."""
    if not {"running_mean", "running_var", "momentum"} <= roles:
        return "keeps no running_mean and running_var"
    first, *_ = bound.call(ranks_case(bound.entry, plain), False)
    return "" if first.running_mean is not None else "returns no running_mean and running_var beside its output"


def _why(bound: SynchronizedSubject, draw: SynchronizedDraw, *, gradient: bool = False) -> str:
    """Why a call on the case of a draw fails; empty if it does not."""
    try:
        bound.call(ranks_case(bound.entry, draw), gradient)
    except CallError as error:
        return error.reason
    return ""
