"""Layers that decorrelate channels: ZCA, Cholesky and iterative whitening."""

from __future__ import annotations

from normcheck.core.family import Family
from normcheck.core.reproduction import reproducing
from normcheck.families.whitening import checks, explain, faults
from normcheck.families.whitening.entry import ENTRIES
from normcheck.families.whitening.network import network
from normcheck.families.whitening.subject import WhiteningSubject
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    subject=WhiteningSubject,
    checks=checks.CHECKS,
    table=checks.table.CHECKS,
    faults=faults.ALL,
    faulty=faults.faulty,
    diagnose=reproducing(checks.CHECKS, faults.ALL, faults.faulty),
    sections=explain.sections,
    row=lambda entry: entry.row,
    extended=lambda entry: entry.extended,
    network=network,
)
