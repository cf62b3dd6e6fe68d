"""The main family, put together from its rooms: normalizers, frameworks, diagnosis."""

from __future__ import annotations

from normcheck.core.contract import Contract
from normcheck.core.family import Family
from normcheck.diagnosis.fault_search import diagnose
from normcheck.diagnosis.remedy import remedy
from normcheck.diagnosis.script import script
from normcheck.diagnosis.weaker import refusals, weaker
from normcheck.frameworks import binder
from normcheck.frameworks.isolation.remote import Remote
from normcheck.frameworks.roles import names_of
from normcheck.frameworks.torch_functions import FUNCTIONS
from normcheck.identify.conventions import observed
from normcheck.normalizers import catalog, explain, faults, transforms
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import (
    CHECKS,
    CHECKS_BY_NAME,
    TOPICS,
    call_modes,
    extended,
    folding,
    invariance,
    layout,
    modes,
    purity,
    translated,
)
from normcheck.normalizers.checks.within_bounds import near
from normcheck.normalizers.faults import wrong_lines
from normcheck.normalizers.faults.conventions import CONVENTIONS, SHOWN_BY, WEAKER
from normcheck.normalizers.network import network
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import held_eps
from normcheck.normalizers.subject import Subject


def _faulty(normalizer: Normalizer, fault: faults.Fault | None, promised: Contract) -> Subject:
    under = Contract() if fault is None else fault.under
    return faults.subject(normalizer, fault, promised if under == Contract() else under)


def _script(subject: Subject, case: Case) -> tuple[str, ...]:
    """The script of a case with the eps that the contract holds, so that its formula is the reference's."""
    return script(subject, case.but(eps=held_eps(subject.contract, case.eps)))


_OF_USES = layout.CHECKS + purity.CHECKS + call_modes.CHECKS + modes.CHECKS + translated.CHECKS
"""Checks of further ways to call: what is wrong in a plain call is wrong there too."""

FAMILY = Family(
    entries=tuple(catalog.ALL.values()),
    bind=binder.subject,
    subject=Subject,
    checks=CHECKS,
    table=tuple(CHECKS_BY_NAME[check.name] for check in invariance.CHECKS + extended.CHECKS + folding.CHECKS),
    by_topic=TOPICS,
    faults=faults.ALL,
    faulty=_faulty,
    lines=wrong_lines.lines,
    sections=lambda entry: explain.sections(entry, names_of),
    row=transforms.derived_row,
    extended=transforms.extended,
    diagnose=diagnose,
    plain=("value", "input-gradient", "parameter-gradients", "running-statistics"),
    uses=frozenset(check.name for check in _OF_USES) | {"recomputed-state"},
    remedy=remedy,
    script=_script,
    observe=observed,
    shown_by=SHOWN_BY,
    convention_faults=CONVENTIONS,
    convention_warnings=WEAKER,
    weaker=weaker,
    refusals=refusals,
    counterpart=lambda entry: FUNCTIONS.get(entry.name, ""),
    near=near,
    isolate=Remote,
    given_shapes=True,
    devices=True,
    network=network,
)
