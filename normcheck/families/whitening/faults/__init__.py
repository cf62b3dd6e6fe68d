"""Known faults of whitening, as data: the reference with one part replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from normcheck.core.contract import Contract
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.faults import calls, output, roots, training
from normcheck.families.whitening.faults.base import WhiteningFault
from normcheck.families.whitening.reference import Root
from normcheck.families.whitening.subject import WhiteningDomain, WhiteningSubject

ALL = {fault.name: fault for fault in (roots.DIAGONAL, *output.ALL, *roots.ALL, *training.ALL, *calls.ALL)}
"""Every fault of the family, by name."""


def _rounded(found: WhiteningAnswer, case: WhiteningCase) -> WhiteningAnswer:
    arrays = {n: a for n in WhiteningAnswer.__slots__ if (a := getattr(found, n)) is not None}
    return replace(found, **{n: case.format.round(a) for n, a in arrays.items()})


NONE = WhiteningFault(name="reference", story="", source="")
"""A correct layer."""


def faulty(entry: Whitening, fault: WhiteningFault | None, promised: Contract) -> WhiteningSubject:
    """The reference as a subject, rounded to the case's format, with a fault or without."""
    broken = fault or NONE

    def answered(root: Root, case: WhiteningCase) -> WhiteningAnswer:
        found = broken.answer(broken.root(root), case)
        if not case.training:
            found = replace(found, running_mean=case.running_mean, running_cov=case.running_cov)
        return _rounded(found, case)

    def call(case: WhiteningCase, gradient: bool) -> WhiteningAnswer:
        return answered(entry.root, case)

    def successive(cases: Sequence[WhiteningCase]) -> tuple[WhiteningAnswer, ...]:
        found, before = [call(cases[0], False)], [cases[0]]
        for case in cases[1:]:
            held = _with_statistics(case, found[-1])
            found.append(answered(*broken.later(entry.root, held, before)))
            before.append(held)
        return tuple(found)

    def restored(cases: Sequence[WhiteningCase]) -> Mapping[str, WhiteningAnswer]:
        *_, last = successive(cases[:-1])
        held = _with_statistics(cases[-1], last)
        right = call(held, False)
        return {"itself": right, "a deep copy": right, "a loaded layer": call(broken.loaded(held), False)}

    return WhiteningSubject(broken.name, entry, promised, WhiteningDomain(), call, successive, restored)


def _with_statistics(case: WhiteningCase, answer: WhiteningAnswer) -> WhiteningCase:
    """The case with the running statistics of an answer."""
    return case.but(running_mean=answer.running_mean, running_cov=answer.running_cov)
