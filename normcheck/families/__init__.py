"""The families that are checked. Entries, checks, faults and binders derive from the list `FAMILIES`.

To add a family, write a folder like the others here (`entry`, `case`, `space`, `subject`, `reference`, `bounds`,
`checks`, `faults`, `explain`, and one file for each framework), give its `__init__` a `FAMILY`, and add one line below.
"""

from __future__ import annotations

from typing import Any

from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError, suggest
from normcheck.core.family import Family, KnownFault
from normcheck.core.spec import Entry, Printed
from normcheck.core.subject import BoundSubject
from normcheck.families import normalizers, path_optimizer, recurrent, reparametrized, whitening

FAMILIES: tuple[Family, ...] = (
    normalizers.FAMILY,
    recurrent.FAMILY,
    path_optimizer.FAMILY,
    whitening.FAMILY,
    reparametrized.FAMILY,
)

ENTRIES: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.entries}
"""Every kind, by name."""

CHECKS: tuple[Check, ...] = tuple(check for family in FAMILIES for check in family.checks)
"""Every check, in the order in which a reader wants the answers."""

TABLE_CHECKS: tuple[Check, ...] = tuple(check for family in FAMILIES for check in family.table)
"""The checks that measure Table 1 and its extension."""

CHECKS_BY_NAME = {check.name: check for check in CHECKS}

FAULTS: dict[str, KnownFault] = {name: fault for family in FAMILIES for name, fault in family.faults.items()}
"""Every known fault, by name."""


def get(kind: str) -> Any:
    """The entry of that name. Raises `UsageError` with the nearest name for an unknown one."""
    if kind not in ENTRIES:
        raise UsageError(f"unknown kind {kind!r}; {suggest(kind, ENTRIES)}")
    return ENTRIES[kind]


def of(entry: Entry) -> Family:
    """The family of an entry."""
    return next(family for family in FAMILIES if isinstance(entry, family.entry_type))


def bind(claim: Implementation) -> BoundSubject:
    """Bind an implementation of any family.

    Raises `UsageError` where the target cannot be loaded, constructed or bound, `CallError` where it fails on every
    ordinary input.
    """
    entry = get(claim.kind)
    return of(entry).bind(claim, entry)


def printed(entry: Entry) -> tuple[Printed, ...]:
    """Rows of Table 1 as papers print them for an entry."""
    rows: tuple[Printed, ...] = getattr(entry, "printed", ())
    return rows


def fault(name: str) -> KnownFault:
    """The fault of that name. Raises `UsageError` with the nearest name for an unknown one."""
    if name not in FAULTS:
        raise UsageError(f"unknown fault {name!r}; {suggest(name, FAULTS)}")
    return FAULTS[name]
