"""A family: a kind of thing that is checked, with its entries, checks, faults and binder, as one value.

A family's catalog entries have one type, its cases another, and its implementations are called in its own way.
Everything between a claim and a verdict (asking, search, shrinking, replay, report, explanation, self-check) is the
same for all families and reads only this value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.contract import Contract
from normcheck.core.network_table import NetworkFunction
from normcheck.core.page import Section
from normcheck.core.result import CheckWarning, Outcome
from normcheck.core.spec import Row
from normcheck.core.subject import BoundSubject

TABLE, USES, LAWS = "Table 1", "use", "laws"
"""Topics of the checks to which a family gives none."""


class KnownFault(Protocol):
    """A known way to be wrong, as far as every family describes it."""

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


@dataclass(frozen=True, slots=True)
class WrongLines:
    """Lines of plain code with a fault, and the line in whose place they stand."""

    wrong: tuple[str, ...]
    right: str


def _no_lines(name: str) -> WrongLines | None:
    return None


def _no_row(entry: Any) -> Row | None:
    return None


def _no_cells(entry: Any) -> Mapping[str, bool]:
    return {}


def _no_names(subject: Any, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    return ()


def _no_remedy(subject: Any, check: Any, draw: Any) -> str:
    return ""


def _as_promised(subject: Any) -> Contract:
    made: Contract = subject.contract
    return made


def _nothing_weaker(subject: Any, check: Any, draw: Any) -> tuple[tuple[CheckWarning, Any], ...]:
    return ()


def _no_refusals(subject: Any) -> tuple[CheckWarning, ...]:
    return ()


def _no_network(entry: Any) -> NetworkFunction | None:
    return None


def _no_counterpart(entry: Any) -> str:
    return ""


def _never(subject: Any, case: Any, one: Any, other: Any) -> bool:
    return False


def _as_it_is(entry: Any) -> None:
    """Nothing has to be proved of an entry."""


def _no_script(subject: Any, case: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. What it leaves out (diagnosis, remedy, script, row of Table 1) is left out of reports."""

    entries: tuple[Any, ...]  # of the catalog: values that fulfill `core.spec.Entry`, all of one type
    bind: Callable[[Implementation, Any], BoundSubject]  # from a claim and the entry that it names
    checks: tuple[Check, ...]  # in the order of the report
    table: tuple[Check, ...] = ()  # those that measure the columns of Table 1 and beyond
    by_topic: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)  # for reports; it need not have all checks
    faults: Mapping[str, Any]  # `KnownFault`s by name
    faulty: Callable[[Any, Any, Contract], Any]  # the reference with one fault, or without any, under a contract
    like: Callable[[Any, Any], Any] = lambda made, subject: made  # a reference with what a subject cannot be given
    lines: Callable[[str], WrongLines | None] = _no_lines  # of plain code with the fault of that name
    sections: Callable[[Any], Iterable[Section]]  # of an entry's page
    row: Callable[[Any], Row | None] = _no_row  # of Table 1
    extended: Callable[[Any], Mapping[str, bool]] = _no_cells  # of `spec.EXTENDED_NAMES`, the columns that it has
    diagnose: Callable[[Any, Sequence[Outcome]], tuple[str, ...]] = _no_names  # faults that explain findings
    plain: tuple[str, ...] = ()  # checks of a plain call
    uses: frozenset[str] = frozenset()  # checks of other uses of a call: what a plain one has wrong is wrong there too
    remedy: Callable[[Any, Any, Any], str] = _no_remedy  # the convention under which a check holds on a draw
    subject: type | None = None  # of bound implementations: by its annotations, their calls can run in another process
    isolate: Callable[[Implementation, Any, Any], Any] | None = None  # another way to run in a process, within limits
    observe: Callable[[Any], Contract] = _as_promised  # the contract that a subject follows, as measured
    shown_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # key of a convention: checks that show it
    convention_faults: Mapping[tuple[str, str], str] = field(default_factory=dict)  # key and value: the fault's name
    convention_warnings: Mapping[tuple[str, str, str], CheckWarning] = field(default_factory=dict)
    """Key, claimed value and observed value of a convention whose difference is a warning, not a finding."""
    weaker: Callable[[Any, Any, Any], Iterable[tuple[CheckWarning, Any]]] = _nothing_weaker
    refusals: Callable[[Any], tuple[CheckWarning, ...]] = _no_refusals  # what torch's own accepts, and this does not
    counterpart: Callable[[Any], str] = _no_counterpart  # the target of torch's own function of an entry
    near: Callable[[Any, Any, Any, Any], bool] = _never  # whether two answers to a case of a subject differ by rounding
    given_shapes: bool = False  # whether a case can have an input shape that a contract names
    devices: bool = False  # whether its cases can lie on another device than the processor
    ranks: bool = False  # whether its implementations run in several processes at a time
    script: Callable[[Any, Any], tuple[str, ...]] = _no_script  # plain code that shows a wrong answer to a case
    network: Callable[[Any], NetworkFunction | None] = _no_network  # an entry as one layer, for the table of the field
    prove: Callable[[Any], None] = _as_it_is  # raises `UsageError` for an entry of a project that contradicts itself
    open: bool = False  # whether projects can add entries

    @property
    def entry_type(self) -> type:
        """The type of its entries."""
        return type(self.entries[0])

    def topics(self) -> dict[str, str]:
        """The topic of each check by name, a word or two: under it a report shows how many of its laws hold."""
        given = {check.name: topic for topic, own in self.by_topic.items() for check in own}
        table = {check.name for check in self.table}
        return {
            name: given.get(name) or (TABLE if name in table else USES if name in self.uses else LAWS)
            for name in (check.name for check in self.checks)
        }
