"""The suite's own teeth at the settings in force: which known faults are found, and what gets through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from normcheck import catalog, faults
from normcheck.adapters.base import Subject
from normcheck.checks import ALL
from normcheck.checks.base import Check
from normcheck.contract import Contract
from normcheck.draws import edges
from normcheck.faults import Fault
from normcheck.recipes import Draw
from normcheck.result import FAILED
from normcheck.spec import Normalizer
from normcheck.sweep import draws, sweep

RANDOM = 4
"""Random draws beyond the decisive ones."""


@dataclass(frozen=True, slots=True)
class Teeth:
    """A fault on one normalizer, and the first check that found it; empty if none did."""

    fault: str
    kind: str
    check: str


@lru_cache(maxsize=512)
def remembered(check: Check) -> Check:
    """The same check; a case that was made once is not made again for the next fault."""
    return replace(check, space=replace(check.space, recipe=lru_cache(maxsize=128)(check.space.recipe)))


@lru_cache(maxsize=512)
def _some(normalizer: Normalizer, check: Check) -> tuple[Draw, ...]:
    plain = faults.subject(normalizer)
    return (*edges(check.space, normalizer, plain.domain), *draws(plain, check, RANDOM, 0))


def _asked(subject: Subject) -> list[Check]:
    return [check for check in ALL if check.concerns(subject.normalizer) and not check.lacks(subject)]


def _finds(subject: Subject, check: Check) -> bool:
    return sweep(subject, remembered(check), _some(subject.normalizer, check)).status == FAILED


def teeth(promised: Contract) -> Iterator[Teeth]:
    """Each fault on the first normalizer that it can befall; the checks that found its neighbors are asked first."""
    lately: list[str] = []
    for fault in faults.ALL.values():
        normalizer = next(n for n in catalog.ALL.values() if fault.concerns(n))
        check = _first(normalizer, fault, promised, lately)
        if check:
            lately = [check, *(name for name in lately if name != check)]
        yield Teeth(fault.name, normalizer.name, check)


def _first(normalizer: Normalizer, fault: Fault, promised: Contract, lately: list[str]) -> str:
    contract = promised if fault.under == Contract() else fault.under
    subject = faults.subject(normalizer, fault, contract)
    able = sorted(_asked(subject), key=lambda c: lately.index(c.name) if c.name in lately else len(lately))
    return next((check.name for check in able if _finds(subject, check)), "")
