"""Checks of one layer that is called several times: what it keeps between calls, and what it must not keep."""

from __future__ import annotations

from dataclasses import replace

from normcheck.core.check import Check
from normcheck.core.result import Comparison, worst
from normcheck.families.synchronized import bounds
from normcheck.families.synchronized.case import RanksCase
from normcheck.families.synchronized.checks import values
from normcheck.families.synchronized.reference import continued
from normcheck.families.synchronized.space import SynchronizedSpace
from normcheck.families.synchronized.subject import SynchronizedSubject


def _turns(subject: SynchronizedSubject, case: RanksCase) -> list[RanksCase]:
    """Training, training on other values, divided in another way if a layer allows it, and evaluation if offered."""
    sizes = case.sizes if case.divides_parameters else case.sizes[::-1]
    other = replace(case, sizes=sizes).but(x=case.joined.format.round(0.5 * case.joined.x[::-1] + 0.5))
    turns = [case, other, case]
    if subject.entry.state and subject.domain.evaluation and subject.domain.running:
        turns.append(case.but(training=False))
    return turns


def ask_turns(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Every call returns what new processes return that have the running statistics of the call before."""
    turns, before = _turns(subject, case), None
    found: list[Comparison] = []
    for number, (one, got) in enumerate(zip(turns, subject.successive(turns), strict=True), 1):
        held = one if before is None else continued(one, before)
        for off in bounds.of_groups(subject, held):
            found += values.outputs(off, got, f"y, call {number}")
            if subject.entry.state and subject.domain.running:
                found += values.running(off, got, f"after call {number}")
        before = got if subject.entry.state and subject.domain.running else None
    return worst(*found)


CHECKS = (
    Check(
        "sync-calls-in-turn",
        "a call depends on no call before it, but through running statistics",
        "torch.nn.SyncBatchNorm",
        ask_turns,
        SynchronizedSpace(shards=("unequal", "single"), data=("plain",)),
        cost=3.0,
    ),
)
