"""Recurrent nets with a normalizer in every step."""

from __future__ import annotations

from collections.abc import Sequence

from normcheck.core.family import Family
from normcheck.core.reproduction import reproducing
from normcheck.core.result import Outcome
from normcheck.diagnosis.remedy import remedy
from normcheck.families.recurrent import checks, diagnosis, explain, faults
from normcheck.families.recurrent.entry import ENTRIES
from normcheck.families.recurrent.subject import RecurrentSubject
from normcheck.frameworks.registry import binder_of

REPRODUCED = reproducing(checks.CHECKS, faults.ALL, faults.faulty)
"""The diagnosis by findings."""


def diagnose(net: RecurrentSubject, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Names of the faults that return all that the net returns; where there is none, of those with the same finding."""
    return diagnosis.diagnose(net, outcomes) or REPRODUCED(net, outcomes)


FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    subject=RecurrentSubject,
    checks=checks.CHECKS,
    table=checks.TABLE,
    faults=faults.ALL,
    faulty=faults.faulty,
    sections=explain.sections,
    row=lambda entry: entry.row,
    extended=lambda entry: entry.extended,
    diagnose=diagnose,
    remedy=remedy,
)
