"""Binds a recurrent net of torch: what it accepts, found by building and calling it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import WIDE_NAMES
from normcheck.core.foreign_code import quiet
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.space import RecurrentDraw, recurrent_case
from normcheck.families.recurrent.subject import RecurrentDomain, RecurrentSubject
from normcheck.families.recurrent.torch.builder import Builder
from normcheck.families.recurrent.torch.names import named_tensors, written
from normcheck.families.recurrent.torch.turns import successive
from normcheck.frameworks.load import loaded
from normcheck.frameworks.torch.module import is_module
from normcheck.normalizers.checks.batch_invariance import not_for
from normcheck.normalizers.composition import COMPOSITION, none_for


def _tried(action: Callable[[], Any]) -> str:
    """Why something fails; empty if it does not."""
    try:
        action()
    except CallError as error:
        return error.reason
    return ""


def subject(claim: Implementation, entry: Recurrent) -> RecurrentSubject:
    """Bind a recurrent net.

    Raises `UsageError` if the target is no class of modules, or what its constructor or parameters mean is unknown;
    `CallError` if it fails on every ordinary input.
    """
    promised = contract(claim.contract)
    if promised.exact_to == COMPOSITION:
        raise UsageError(f"{claim.name}: exact-to={COMPOSITION}: {none_for(entry.name)}")
    if promised.batch_invariant != "any":
        raise UsageError(f"{claim.name}: {not_for(entry.name, promised.batch_invariant)}")
    with quiet():
        target = loaded(claim.target)
        if not callable(target) or isinstance(target, torch.nn.Module):
            raise UsageError(
                f"{claim.name} is no class of torch.nn.Module; a recurrent net is built anew for each case"
            )
        if isinstance(target, type) and not is_module(target):
            raise UsageError(f"{claim.name} is a class, but no torch.nn.Module")
        builder = Builder(target, entry, claim.name)
        domain = _domain(builder, entry, promised.served)
    return RecurrentSubject(
        claim.name, entry, promised, domain, builder.call, builder.initial, builder.reloaded,
        partial(successive, builder),
    )  # fmt: skip


USUAL = 0.1
"""The momentum of a net that has no argument and no attribute of that name: torch's default."""


def _domain(builder: Builder, entry: Recurrent, formats: tuple[str, ...]) -> RecurrentDomain:
    """What the net accepts. Raises `CallError` with the first failure if nothing works."""
    served = [name for name in reversed(WIDE_NAMES) if name in formats]
    if not served:
        none = " nor ".join(reversed(WIDE_NAMES))
        raise CallError(f"neither {none} is among the formats that the contract claims")
    base = RecurrentDraw(format=served[0], states="hx" in builder.called)
    sample = recurrent_case(entry, base)
    found = named_tensors(builder.build(sample), entry, builder.name)
    missing = [role for role in ("weight_ih", "weight_hh") if role not in found.trained]
    if missing:
        raise UsageError(f"{builder.name}: it has no parameter {written(missing[0])}")
    known = (*entry.parameters, "bias_hh")
    roles = tuple(role for role in known if role in found.trained)
    absent = {written(role): "has none" for role in entry.parameters if role not in roles}
    base = replace(base, fixed=roles)

    def works(what: str, draw: RecurrentDraw) -> bool:
        why = _tried(lambda: builder.call(recurrent_case(entry, draw), False))
        if why:
            absent[what] = why
        return not why

    states = _states(builder, entry, base, absent)
    base = replace(base, states=states)
    builder.call(recurrent_case(entry, base), False)
    kept = all(f"{kind}_{place}" in found.kept for kind in ("mean", "var") for place in entry.places)
    slots = "max_length" in builder.built or entry.over_time
    if entry.state and not (kept and slots):
        absent["running statistics"] = "keeps none" if not kept else "is not told for how many steps"
    for role, what in (("lengths", "lengths"), ("batch_first", "batch first")):
        if role not in builder.called and role not in builder.built:
            absent[what] = f"takes no {role}"
    held = {name: v for m in builder.build(sample).modules() for name, v in vars(m).items() if isinstance(v, float)}
    return RecurrentDomain(
        roles=roles,
        formats=tuple(name for name in served if name == base.format or works(name, replace(base, format=name))),
        eps=None if "eps" in builder.built else held.get("eps", entry.eps),
        momentum=None if "momentum" in builder.built else held.get("momentum", USUAL),
        states=states,
        noise=_starts_from_noise(builder, recurrent_case(entry, replace(base, states=False))),
        lengths="lengths" in builder.called and works("lengths", replace(base, padded=True)),
        batch_first="batch_first" in builder.built and works("batch first", replace(base, batch_first=True)),
        state=entry.state and kept and slots,
        slots=slots,
        absent=absent,
    )


def _starts_from_noise(builder: Builder, case: RecurrentCase) -> bool:
    """Whether two calls without a first state differ, since the state starts from noise (Cooijmans 2016)."""
    return not np.array_equal(builder.call(case, False).y, builder.call(case, False).y)


def _states(builder: Builder, entry: Recurrent, base: RecurrentDraw, absent: dict[str, str]) -> bool:
    """Whether a first state is taken, with an axis of layers or without; sets `builder.flat` if without."""
    if "hx" not in builder.called:
        absent["first state"] = "takes no hx"
        return False
    why = _tried(lambda: builder.call(recurrent_case(entry, base), False))
    if why:
        builder.flat = True
        if _tried(lambda: builder.call(recurrent_case(entry, base), False)):
            builder.flat = False
            absent["first state"] = why
            return False
    return True
