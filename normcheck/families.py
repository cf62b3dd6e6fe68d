"""The families of entries: what the question path needs to know of each, in one table.

A family is a kind of thing that is checked (normalizers, recurrent nets, ...): its catalog entries have one type, its
cases another, its implementations are called in its own way. Everything between a claim and a verdict (session, search,
sweep, shrinking, replay, report, explanation, self-check) is the same for all.

To add one:

1. Write the type of its entries (a frozen dataclass with what `spec.Entry` asks) and of its cases (with `describe()`).
2. Write a draw (a frozen dataclass whose defaults are the plain draw) and a space that fulfills `cases.Cases`; its
   `entries` is the type of the entries, by which everything finds the family.
3. Write a subject that fulfills `adapters.base.Bound`, with whatever its checks call beside, and a binder from
   `Implementation` to it; put the binder into `adapters.binders.BINDERS`.
4. Write checks (`checks.base.Check` with that space), and add them to `checks.ALL`; a file below `properties/` asks
   them. `Check.concerns` is False for entries of other families by itself.
5. Write its faults: any value that fulfills `Fault` below.
6. Put the entries into `catalog.ENTRIES`, and the family into `ALL` here. What it leaves out (diagnosis, remedy,
   script, row of Table 1) is not said in reports. A subject without a gradient says so in `absent["gradient"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from normcheck import about, catalog, faults, transforms
from normcheck.about import Section
from normcheck.adapters.base import Bound, Subject
from normcheck.contract import Contract
from normcheck.descent import about as descent_about
from normcheck.descent import faults as descent_faults
from normcheck.descent.entry import Descent
from normcheck.diagnose import diagnose
from normcheck.errors import UsageError, suggest
from normcheck.faults import recurrent
from normcheck.recurrence import about as recurrence
from normcheck.recurrence import diagnosis
from normcheck.recurrence.entry import Recurrent
from normcheck.refresh import about as refresh_about
from normcheck.refresh import faults as refresh_faults
from normcheck.refresh.entry import Refreshed
from normcheck.remedy import remedy
from normcheck.reproduction import script
from normcheck.result import Outcome
from normcheck.spec import Entry, Normalizer, Printed, Row
from normcheck.whitening import about as whitening_about
from normcheck.whitening import faults as whitening_faults
from normcheck.whitening.entry import Whitening


class Fault(Protocol):
    """A known way to be wrong, as far as every family has it."""

    @property
    def name(self) -> str: ...
    @property
    def story(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def concerns(self) -> Callable[[Any], bool]: ...
    @property
    def damages(self) -> str: ...


def _no_row(entry: Any) -> Row | None:
    return None


def _no_cells(entry: Any) -> Mapping[str, bool]:
    return {}


def _no_names(subject: Any, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    return ()


def _no_remedy(subject: Any, check: Any, draw: Any) -> str:
    return ""


def _no_script(subject: Any, case: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Family:
    """What is particular about one family, beside its checks and its binder."""

    entries: type  # of its catalog entries
    faults: Mapping[str, Any]  # `Fault`s by name
    faulty: Callable[[Any, Any, Contract], Bound]  # the reference with one fault, or sound without any, under a promise
    sections: Callable[[Any], Iterable[Section]]  # of an entry's page
    row: Callable[[Any], Row | None] = _no_row  # of Table 1
    extended: Callable[[Any], Mapping[str, bool]] = _no_cells  # of `spec.EXTENDED_NAMES`, those that it is asked
    diagnose: Callable[[Any, Sequence[Outcome]], tuple[str, ...]] = _no_names  # faults that explain findings
    remedy: Callable[[Any, Any, Any], str] = _no_remedy  # the convention under which a check holds on a draw
    script: Callable[[Any, Any], tuple[str, ...]] = _no_script  # plain code that shows a case to be answered wrongly

    def members(self) -> list[Any]:
        """The entries of the catalog that belong to it."""
        return [entry for entry in catalog.ENTRIES.values() if isinstance(entry, self.entries)]


def _faulty(normalizer: Normalizer, fault: faults.Fault | None, promised: Contract) -> Subject:
    under = Contract() if fault is None else fault.under
    return faults.subject(normalizer, fault, promised if under == Contract() else under)


ALL = (
    Family(
        entries=Normalizer,
        faults=faults.ALL,
        faulty=_faulty,
        sections=about.sections,
        row=transforms.derived_row,
        extended=transforms.extended,
        diagnose=diagnose,
        remedy=remedy,
        script=script,
    ),
    Family(
        entries=Recurrent,
        faults=recurrent.ALL,
        faulty=recurrent.subject,
        sections=recurrence.sections,
        row=lambda entry: entry.row,
        extended=lambda entry: entry.extended,
        diagnose=diagnosis.diagnose,
        remedy=remedy,
    ),
    Family(
        entries=Descent,
        faults=descent_faults.ALL,
        faulty=descent_faults.faulty,
        sections=descent_about.sections,
    ),
    Family(
        entries=Whitening,
        faults=whitening_faults.ALL,
        faulty=whitening_faults.faulty,
        sections=whitening_about.sections,
        row=lambda entry: entry.row,
        extended=lambda entry: entry.extended,
    ),
    Family(
        entries=Refreshed,
        faults=refresh_faults.ALL,
        faulty=refresh_faults.faulty,
        sections=refresh_about.sections,
        extended=lambda entry: entry.extended,
    ),
)

FAULTS: dict[str, Fault] = {name: fault for family in ALL for name, fault in family.faults.items()}
"""Every known fault, of every family."""


def of(entry: Entry) -> Family:
    """The family of an entry."""
    return next(family for family in ALL if isinstance(entry, family.entries))


def printed(entry: Entry) -> tuple[Printed, ...]:
    """Rows of Table 1 as papers print them for an entry."""
    rows: tuple[Printed, ...] = getattr(entry, "printed", ())
    return rows


def fault(name: str) -> Fault:
    """The fault of that name. Raises `UsageError` with the nearest name for an unknown one."""
    if name not in FAULTS:
        raise UsageError(f"unknown fault {name!r}; {suggest(name, FAULTS)}")
    return FAULTS[name]
