"""Normalizers whose input is divided among processes: synchronized batch norm, tensor- and sequence-parallel ones."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.core.family import Family
from normcheck.core.limits import Limits
from normcheck.core.reproduction import reproducing
from normcheck.core.subject import BoundSubject
from normcheck.families.synchronized import checks, explain, faults
from normcheck.families.synchronized.entry import ENTRIES, Synchronized
from normcheck.families.synchronized.subject import SynchronizedSubject
from normcheck.frameworks.isolation.worker import prepare
from normcheck.frameworks.registry import binder_of


def _isolated(claim: Implementation, entry: Synchronized, limits: Limits) -> Any:
    """The processes of an implementation, within these limits; the target is imported in them alone."""
    if find_spec("torch") is None:
        said = "processes of several ranks are those of torch, which is not installed"
        raise UsageError(f"{claim.name}: {said}: check it without --norm-isolate")
    return import_module(f"{__name__}.torch.processes").RankProcesses(claim, entry, limits)


def _bind(claim: Implementation, entry: Synchronized) -> BoundSubject:
    """Bind an implementation. The server of its processes imports torch at the same time as this process."""
    if find_spec("torch") is not None:
        prepare()
    return binder_of(__name__)(claim, entry)


FAMILY = Family(
    entries=ENTRIES,
    bind=_bind,
    subject=SynchronizedSubject,
    checks=checks.CHECKS,
    table=checks.TABLE,
    faults=faults.ALL,
    faulty=faults.faulty,
    diagnose=reproducing(checks.CHECKS, faults.ALL, faults.faulty),
    sections=explain.sections,
    extended=lambda entry: entry.extended,
    isolate=_isolated,
    devices=True,
    ranks=True,
)
