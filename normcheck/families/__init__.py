"""The families that are checked. Entries, checks, faults and binders derive from one list.

To add a family, write a folder like the others here and add its name to `MODULES`. Each part is a file, or a folder of
that name where one file would be too long:

    entry      the catalog entries: frozen values, with the functions and flags in which they differ
    case       a case and the answer to it: arrays and numbers, and how they are laid out
    space      the draws from which cases follow
    subject    a loaded implementation: how it is called, and which cases it accepts
    reference  the closed forms in float64
    bounds     what a correct implementation may be off by; no other part has a number that decides a comparison
    checks     the laws, each a comparison of a subject on a case
    faults     known ways to be wrong: the reference with one part replaced
    explain    the page of an entry
    torch      loads implementations in torch; one such part for each framework

Its `__init__` puts these together as `FAMILY`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError, suggest
from normcheck.core.family import Family, KnownFault, WrongLines
from normcheck.core.spec import Entry, Printed
from normcheck.core.subject import BoundSubject
from normcheck.identify.identify import claimed as claimed
from normcheck.identify.identify import identify as identify
from normcheck.identify.network import networks_of as networks_of

MODULES = (
    "normalizers",
    "recurrent",
    "path_optimizer",
    "whitening",
    "reparametrized",
    "defined",
    "synchronized",
)
"""The modules of this package that define a family, in the order in which kinds, checks and faults are listed."""

FAMILIES: tuple[Family, ...] = tuple(import_module(f"{__name__}.{module}").FAMILY for module in MODULES)
"""Every family."""

ENTRIES: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.entries}
"""Every kind, by name."""

CHECKS: tuple[Check, ...] = tuple(check for family in FAMILIES for check in family.checks)
"""Every check, in the order of the report."""

TABLE_CHECKS: tuple[Check, ...] = tuple(check for family in FAMILIES for check in family.table)
"""The checks that measure Table 1 and its extension."""

CHECKS_BY_NAME = {check.name: check for check in CHECKS}

TOPICS: dict[str, str] = {name: topic for family in FAMILIES for name, topic in family.topics().items()}
"""The topic of each check, a word or two."""

FAULTS: dict[str, KnownFault] = {name: fault for family in FAMILIES for name, fault in family.faults.items()}
"""Every known fault, by name."""


def wrong_lines(fault: str) -> WrongLines | None:
    """Lines of plain code with the fault of that name, if they are known."""
    return next((found for family in FAMILIES if (found := family.lines(fault)) is not None), None)


def get(kind: str) -> Any:
    """The entry of that name. Raises `UsageError` with the nearest name for an unknown one."""
    if kind not in ENTRIES:
        raise UsageError(f"unknown kind {kind!r}; {suggest(kind, ENTRIES)}")
    return ENTRIES[kind]


OWN: set[str] = set()
"""Names of the entries that projects have added."""


def add(entry: Any) -> str:
    """Add an entry of a project to the catalog, once it is proved; returns its name. One of that name is replaced.

    Raises `UsageError` for a value that is no entry of a family that is open to them, for a name of the catalog, and
    for an entry that contradicts itself.
    """
    family = next((one for one in FAMILIES if one.open and isinstance(entry, one.entry_type)), None)
    if family is None:
        names = " or ".join(f"normcheck.{one.entry_type.__name__}" for one in FAMILIES if one.open)
        raise UsageError(f"{type(entry).__name__} is no {names}, which a project can add")
    known: Any = ENTRIES.get(entry.name)
    if known is entry:
        return str(entry.name)
    if known is not None and entry.name not in OWN:
        raise UsageError(f"there is a kind {entry.name} in the catalog: give yours another name")
    family.prove(entry)
    ENTRIES[entry.name] = entry
    OWN.add(entry.name)
    return str(entry.name)


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
