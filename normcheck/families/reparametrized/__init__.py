"""Layers in coordinates that are refreshed from data: mean-normalized SGD, natural gradients and their like."""

from __future__ import annotations

from normcheck.core.family import Family
from normcheck.core.reproduction import reproducing
from normcheck.families.reparametrized import checks, explain, faults
from normcheck.families.reparametrized.entry import ENTRIES
from normcheck.families.reparametrized.subject import ReparametrizedSubject
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    subject=ReparametrizedSubject,
    checks=checks.CHECKS,
    table=checks.TABLE,
    faults=faults.ALL,
    faulty=faults.faulty,
    diagnose=reproducing(checks.CHECKS, faults.ALL, faults.faulty),
    sections=explain.sections,
    extended=lambda entry: entry.extended,
)
