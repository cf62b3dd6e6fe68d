"""Known faults of recurrent nets, as data: how each breaks the reference, its source, and what it damages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import InitialNet, RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.faults import calls, net, norm, statistics
from normcheck.families.recurrent.faults.base import NONE, RecurrentFault
from normcheck.families.recurrent.reference.nets import Unrolled, unroll
from normcheck.families.recurrent.reference.steps import RecurrentSteps
from normcheck.families.recurrent.subject import RecurrentDomain, RecurrentSubject
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.standardize import Steps

ALL: dict[str, RecurrentFault] = {fault.name: fault for fault in (*statistics.ALL, *calls.ALL, *net.ALL, *norm.ALL)}
"""Every fault of the family, by name."""

_IN_FORMAT = Steps(compute=standardize.working)

WORKING = RecurrentSteps(steps=_IN_FORMAT, elsewhere=_IN_FORMAT)
"""The net in the format of the case."""


def faulty(entry: Recurrent, fault: RecurrentFault | None, promised: Contract) -> RecurrentSubject:
    """The reference as a subject that offers everything, with a fault or without."""
    broken = fault or NONE
    steps = broken.unrolled(WORKING)
    steps = replace(steps, steps=broken.steps(steps.steps), places=broken.places)

    def answer(case: RecurrentCase) -> RecurrentAnswer:
        seen = broken.before(case, entry)
        found = unroll(broken.entry(entry), seen, broken.contract(promised), steps)
        return _rounded(broken.after(_answer(found, case), case), case)

    def call(case: RecurrentCase, gradient: bool) -> RecurrentAnswer:
        return answer(case if gradient else case.forward)

    def initial(case: RecurrentCase) -> InitialNet:
        return broken.initial(_initial(entry, case))

    def reloaded(case: RecurrentCase) -> RecurrentAnswer:
        trained = call(case, False)
        after = case.forward.but(training=False, means=trained.means, variances=trained.variances)
        return replace(answer(broken.loaded(after)), means=trained.means, variances=trained.variances)

    def successive(cases: Sequence[RecurrentCase]) -> tuple[RecurrentAnswer, ...]:
        seen, found = cases[0], [call(cases[0], False)]
        for case in cases[1:]:
            held = case.but(means=found[-1].means, variances=found[-1].variances)
            seen = broken.later(held, seen, found[-1])
            found.append(replace(call(seen, False), changed=()))
        return tuple(found)

    domain = RecurrentDomain(roles=(*entry.parameters,), state=entry.state, slots=entry.state)
    return RecurrentSubject(
        f"{entry.name} with {broken.name}", entry, promised, domain, call, initial, reloaded, successive
    )


def _answer(found: Unrolled, case: RecurrentCase) -> RecurrentAnswer:
    def first(some: dict[str, Array]) -> dict[str, Array]:
        return {name: value[0] for name, value in some.items()}

    roles = {*case.parameters, "x", "h", "c"}
    grads = {name: value for name, value in first(found.grads).items() if name in roles}
    grads |= {role: np.zeros(v.shape) for role, v in case.parameters.items() if grads and role not in grads}
    return RecurrentAnswer(
        found.y[0], case.format.name, first(found.last), grads, first(found.means), first(found.variances)
    )  # fmt: skip


def _rounded(found: RecurrentAnswer, case: RecurrentCase) -> RecurrentAnswer:
    def held(some: Any) -> dict[str, Array]:
        return {name: case.format.round(value) for name, value in some.items()}

    return replace(
        found, y=case.format.round(found.y), last=held(found.last), grads=held(found.grads), means=held(found.means),
        variances=held(found.variances),
    )  # fmt: skip


def _initial(entry: Recurrent, case: RecurrentCase) -> InitialNet:
    start = {"gain": entry.gain, "shift": 0.0, "bias": 0.0}
    parameters = {role: np.full(v.shape, start[role.partition("_")[0]]) for role, v in case.parameters.items()
                  if not role.startswith("weight")}  # fmt: skip
    means = {place: np.zeros(rows.shape) for place, rows in case.means.items()}
    return InitialNet(parameters, means, {place: np.ones(rows.shape) for place, rows in case.variances.items()})
