"""Mutation score of the suite under given conventions: which known faults it finds at an effort, and which not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from normcheck import families
from normcheck.core.ask import draws, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract, contract
from normcheck.core.family import Family, KnownFault
from normcheck.core.result import FAILED
from normcheck.core.subject import BoundSubject
from normcheck.engine import smoke
from normcheck.engine.settings import Settings
from normcheck.engine.smoke import SMOKE
from normcheck.engine.warnings import under_weaker
from normcheck.families import CHECKS

RANDOM = 4
"""Random draws beyond the explicit examples."""


@dataclass(frozen=True, slots=True)
class MutationScore:
    """A fault on one entry of the catalog, and the first check that found it; empty if none did."""

    fault: str
    kind: str
    check: str


@lru_cache(maxsize=512)
def remembered(check: Check) -> Check:
    """The same check with a cache of its cases, which are the same for each fault."""
    space: Any = check.space
    return replace(check, space=replace(space, recipe=lru_cache(maxsize=128)(space.recipe)))


@lru_cache(maxsize=512)
def _some(entry: Any, check: Check) -> tuple[Any, ...]:
    plain = families.of(entry).faulty(entry, None, Contract())
    return (*check.space.explicit_examples(plain), *draws(plain, check, RANDOM, 0))


def _asked(subject: BoundSubject, effort: str) -> list[Check]:
    concerned = [check for check in CHECKS if check.concerns(subject.entry)]
    some = smoke.checks(subject.entry.name, concerned) if effort == SMOKE else concerned
    return [check for check in some if not check.lacks(subject)]


def _finds(subject: BoundSubject, entry: Any, check: Check, effort: str) -> bool:
    if effort == SMOKE:
        return finds(subject, remembered(check), list(smoke.examples(subject, check)))
    return run_check(subject, remembered(check), _some(entry, check)).status == FAILED


def finds(subject: Any, check: Check, samples: Sequence[Any]) -> bool:
    """Whether a check fails on some draws, and not only by what is a warning under a weaker contract."""
    run = lambda under: run_check(under, check, samples)  # one line of two uses
    return under_weaker(subject, check, run).outcome.status == FAILED


def mutation_scores(promised: Contract, effort: str = "default") -> Iterator[MutationScore]:
    """Each fault on the first entry that can have it. Checks that found the faults before it run first.

    effort: smoke or another; all others have the same cases here.
    """
    lately: list[str] = []
    for family in families.FAMILIES:
        for fault in family.faults.values():
            entry = next(entry for entry in family.entries if fault.concerns(entry))
            check = _first(family, entry, fault, promised, lately, effort)
            if check:
                lately = [check, *(name for name in lately if name != check)]
            yield MutationScore(fault.name, entry.name, check)


def _first(family: Family, entry: Any, fault: KnownFault, promised: Contract, lately: list[str], effort: str) -> str:
    subject = family.faulty(entry, fault, promised)
    able = sorted(_asked(subject, effort), key=lambda c: lately.index(c.name) if c.name in lately else len(lately))
    return next((check.name for check in able if _finds(subject, entry, check, effort)), "")


Shown = Callable[[Iterator[MutationScore], int], Iterator[MutationScore]]
"""Passes scores on as they come, and shows how many of how many there are."""


def rate_lines(
    conventions: Mapping[str, str], effort: str, shown: Shown = lambda scores, _: scores
) -> tuple[list[str], bool]:
    """How many known faults are found under conventions, and those that are not, in words; whether any is not."""
    total = sum(len(family.faults) for family in families.FAMILIES)
    found = list(shown(mutation_scores(contract(conventions), Settings(effort).effort), total))
    through = [one for one in found if not one.check]
    chosen = [f"{key}={value}" for key, value in conventions.items()]
    settings = ", ".join([*chosen, *([] if effort == "default" else [f"effort {effort}"])]) or "default settings"
    rate = f"{len(found) - len(through)} of {len(found)} known faults are found ({settings})"
    missed = [f"  gets through: {one.fault} in {one.kind}; see normcheck explain {one.fault}" for one in through]
    return [rate, *missed], bool(through)
