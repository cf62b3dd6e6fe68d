"""Known faults of whitening, as data: the reference with one part replaced."""

from __future__ import annotations

from dataclasses import replace

from normcheck.core.contract import Contract
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.faults import output, roots, training
from normcheck.families.whitening.faults.base import WhiteningFault
from normcheck.families.whitening.reference import answer
from normcheck.families.whitening.subject import WhiteningDomain, WhiteningSubject

ALL = {fault.name: fault for fault in (roots.DIAGONAL, *output.ALL, *roots.ALL, *training.ALL)}
"""Every fault of the family, by name."""


def _rounded(found: WhiteningAnswer, case: WhiteningCase) -> WhiteningAnswer:
    arrays = {n: a for n in WhiteningAnswer.__slots__ if (a := getattr(found, n)) is not None}
    return replace(found, **{n: case.format.round(a) for n, a in arrays.items()})


def faulty(entry: Whitening, fault: WhiteningFault | None, promised: Contract) -> WhiteningSubject:
    """The reference as a subject, rounded to the case's format, with a fault or without."""

    def call(case: WhiteningCase, gradient: bool) -> WhiteningAnswer:
        found = answer(entry.root, case) if fault is None else fault.answer(fault.root(entry.root), case)
        if not case.training:
            found = replace(found, running_mean=case.running_mean, running_cov=case.running_cov)
        return _rounded(found, case)

    name = "reference" if fault is None else fault.name
    return WhiteningSubject(name, entry, promised, WhiteningDomain(), call)
