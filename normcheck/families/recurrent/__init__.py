"""Recurrent nets with a normalizer in every step."""

from __future__ import annotations

from normcheck.core.family import Family
from normcheck.diagnosis.remedy import remedy
from normcheck.families.recurrent import checks, diagnosis, explain, faults
from normcheck.families.recurrent.entry import ENTRIES
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    checks=checks.CHECKS,
    faults=faults.ALL,
    faulty=faults.faulty,
    sections=explain.sections,
    row=lambda entry: entry.row,
    extended=lambda entry: entry.extended,
    diagnose=diagnosis.diagnose,
    remedy=remedy,
)
