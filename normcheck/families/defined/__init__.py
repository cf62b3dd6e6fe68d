"""Normalizers that are defined by their forward pass in numpy, those of the catalog and a project's own."""

from __future__ import annotations

from normcheck.core.family import Family
from normcheck.families.defined import checks, diagnosis, explain, faults, proofs
from normcheck.families.defined.checks import table
from normcheck.families.defined.kinds import ENTRIES
from normcheck.families.defined.network import network
from normcheck.families.defined.subject import DefinedSubject
from normcheck.families.defined.weaker import EPS_IN_FLOAT32, weaker
from normcheck.frameworks.registry import binder_of

FAMILY = Family(
    entries=ENTRIES,
    bind=binder_of(__name__),
    subject=DefinedSubject,
    checks=checks.CHECKS,
    table=table.CHECKS,
    faults=faults.ALL,
    faulty=faults.faulty,
    like=faults.like,
    diagnose=diagnosis.diagnose,
    convention_warnings=EPS_IN_FLOAT32,
    weaker=weaker,
    sections=explain.sections,
    row=table.row,
    extended=table.extended,
    network=network,
    prove=proofs.require,
    open=True,
)
