"""Known faults of divided normalizers, as data: processes that are simulated in one, with some steps replaced."""

from __future__ import annotations

from collections.abc import Sequence

from normcheck.core.contract import Contract
from normcheck.families.synchronized.case import RankAnswer, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.faults import backward, running, statistics, wrapped
from normcheck.families.synchronized.faults.base import SynchronizedFault
from normcheck.families.synchronized.faults.run import SharedSteps, first_counts, simulated
from normcheck.families.synchronized.reference import continued, rounded
from normcheck.families.synchronized.subject import Answers, SynchronizedDomain, SynchronizedSubject

ALL = {fault.name: fault for fault in (*statistics.ALL, *backward.ALL, *running.ALL, *wrapped.ALL)}
"""Every fault of the family, by name."""

NONE = SynchronizedFault(name="reference", story="", source="", steps=SharedSteps())
"""Correct processes."""


def faulty(entry: Synchronized, fault: SynchronizedFault | None, promised: Contract) -> SynchronizedSubject:
    """The reference as a subject, rounded to the case's format, with a fault or without."""
    broken = fault or NONE

    def answered(case: RanksCase, first: RanksCase | None = None) -> Answers:
        counts = first_counts(entry, first) if first is not None and broken.steps.stale and entry.divides_sets else None
        found = simulated(entry, case, broken.steps, promised, counts)
        return tuple(rounded(one, case) for one in found)

    def call(case: RanksCase, gradient: bool) -> Answers:
        return answered(case)

    def successive(cases: Sequence[RanksCase]) -> tuple[Answers, ...]:
        found: list[tuple[RankAnswer, ...]] = []
        for case in cases:
            held = continued(case, found[-1]) if found and entry.state else case
            held = broken.steps.loaded(held) if cases[0].wrapper and not case.wrapper else held
            found.append(answered(held, cases[0] if found else None))
        return tuple(found)

    return SynchronizedSubject(broken.name, entry, promised, SynchronizedDomain(), call, successive)
