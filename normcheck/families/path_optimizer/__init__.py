"""Optimizers of nets that are invariant to rescaling of units: path-SGD."""

from __future__ import annotations

from normcheck.core.family import Family
from normcheck.core.reproduction import reproducing
from normcheck.families.path_optimizer import checks, explain, faults
from normcheck.families.path_optimizer.entry import ENTRIES
from normcheck.families.path_optimizer.subject import OptimizerSubject
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    subject=OptimizerSubject,
    checks=checks.CHECKS,
    table=checks.TABLE,
    faults=faults.ALL,
    faulty=faults.faulty,
    diagnose=reproducing(checks.CHECKS, faults.ALL, faults.faulty),
    sections=explain.sections,
)
