"""Known faults of defined normalizers: slips of one normalizer, and faults of any by the structure of its forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normcheck.core.contract import Contract
from normcheck.core.kept import keeping
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults import calls, parameters, state, steps, structure
from normcheck.families.defined.faults.base import DefinedFault, of_slip
from normcheck.families.defined.faults.distinct import distinct
from normcheck.families.defined.kinds import ENTRIES
from normcheck.families.defined.subject import DefinedDomain, DefinedSubject

SLIPS = tuple(of_slip(entry, slip) for entry in ENTRIES for slip in entry.slips)

_WHOLE = (*structure.ALL, *parameters.ALL, *state.ALL)

ALL = {fault.name: fault for fault in (*SLIPS, *_WHOLE, *distinct(steps.ALL, (*SLIPS, *_WHOLE)), *calls.ALL)}
"""Every fault of the family, by name."""


def faulty(entry: DefinedNormalizer, fault: DefinedFault | None, promised: Contract) -> DefinedSubject:
    """The reference as a subject, rounded to the case's format, with a fault or without."""
    broken = fault or DefinedFault(name="reference", story="", source="")

    def call(case: DefinedCase, gradient: bool) -> DefinedAnswer:
        return _given(broken, entry, case.but(graded=gradient))

    def successive(cases: Sequence[DefinedCase]) -> tuple[DefinedAnswer, ...]:
        first = call(cases[0], False)
        if broken.earlier is not None:
            first = _rounded(broken.earlier(entry, cases[0], cases[-1]), cases[-1])
        if broken.later is None:
            return (first, *(call(case, False) for case in cases[1:]))
        return (first, *(_rounded(broken.later(entry, case, cases[0]), case) for case in cases[1:]))

    return DefinedSubject(broken.name, entry, promised, DefinedDomain(ranks=entry.served), call, successive)


def like(made: DefinedSubject, subject: DefinedSubject) -> DefinedSubject:
    """The reference, which is given the constants that an implementation fixes, and the parameters that it takes."""
    return replace(made, domain=replace(made.domain, fixed=subject.domain.fixed, missing=subject.domain.missing))


@keeping
def _given(fault: DefinedFault, entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    """The answer of a fault, which many checks of one case ask for."""
    return _rounded(fault.answer(entry, case), case)


def _rounded(found: DefinedAnswer, case: DefinedCase) -> DefinedAnswer:
    number = case.format.round
    return replace(
        found, y=number(found.y), gradients={n: number(g) for n, g in found.gradients.items()},
        state={n: number(s) for n, s in found.state.items()},
    )  # fmt: skip
