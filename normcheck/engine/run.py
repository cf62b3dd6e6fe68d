"""A run as a stream of events: what the Python API reads whole, and the pytest plugin makes check by check."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing

from normcheck.core.check import Check
from normcheck.core.events import CheckDone, CheckStarted, ClaimBound, ClaimDone, Event
from normcheck.engine.asker import CALL, Asker, checks_of, convention_check
from normcheck.engine.claims import Claim
from normcheck.engine.conditions import old_objects_set_aside
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.coverage import Question
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS, CHECKS_BY_NAME, FAMILIES

TABLE_CHECKS = tuple(check for family in FAMILIES for check in family.table)
"""The checks that measure the columns of Table 1 and those beyond it."""

PLACES = {name: i for i, name in enumerate(CHECKS_BY_NAME)}
"""The place of each check among those of a claim."""


def events(
    claims: Iterable[Claim], settings: Settings, checks: Sequence[Check] = CHECKS
) -> Generator[Event, None, None]:
    """All checks that concern each claim, in their order. Closing the generator ends isolated processes too."""
    with old_objects_set_aside(), closing(Asker(settings)) as asker:
        for claim in claims:
            yield from bind_events(asker, claim)
            yield from convention_events(asker, claim)
            chosen = checks_of(claim, checks, settings)
            for i, check in enumerate(chosen, 1):
                yield from check_events(asker, claim, check, last=i == len(chosen))
            yield ClaimDone(claim.kind, claim.name)


def questions(claims: Iterable[Claim], settings: Settings, checks: Sequence[Check] = CHECKS) -> Iterator[Question]:
    """Every question that `events` asks about the claims, in its order."""
    for claim in claims:
        yield claim.kind, claim.name, CALL
        if convention_check(claim, settings):
            yield claim.kind, claim.name, CONVENTIONS
        yield from ((claim.kind, claim.name, check.name) for check in checks_of(claim, checks, settings))


def bind_events(asker: Asker, claim: Claim) -> Iterator[Event]:
    """Bind a claim."""
    yield ClaimBound(asker.run_call(claim))


def convention_events(asker: Asker, claim: Claim) -> Iterator[Event]:
    """Compare the conventions that an implementation follows with those that it claims."""
    if convention_check(claim, asker.settings):
        yield CheckStarted(claim.kind, claim.name, CONVENTIONS)
        yield from map(CheckDone, asker.run_conventions(claim))


def check_events(asker: Asker, claim: Claim, check: Check, *, last: bool = False) -> Iterator[Event]:
    """Run one check of a claim. last: no other follows, so that the process of an isolated one must end now."""
    yield CheckStarted(claim.kind, claim.name, check.name)
    outcome = asker.run_check(claim, check)
    yield CheckDone(asker.ended(claim, outcome) if last else outcome)


def in_order(events: Iterable[Event], claims: Iterable[tuple[str, str]]) -> list[Event]:
    """Events of checks that ran in any order, in several processes, as `events` yields them.

    claims: kind and target of each, in their order. Each claim that has no `ClaimDone` yet gets one. Targets that are
    not among the claims follow, as they came.
    """
    found = list(events)
    places = {claim: i for i, claim in enumerate(claims)}
    for one in found:
        places.setdefault((one.kind, one.target), len(places))
    done = {(one.kind, one.target) for one in found if isinstance(one, ClaimDone)}
    seen = dict.fromkeys((one.kind, one.target) for one in found)
    found += [ClaimDone(kind, target) for kind, target in seen if (kind, target) not in done]
    return sorted(found, key=lambda one: (places[one.kind, one.target], _place(one)))


def _place(event: Event) -> int:
    """Where an event stands among those of its claim."""
    if isinstance(event, ClaimDone):
        return len(PLACES)
    check = event.check if isinstance(event, CheckStarted) else event.outcome.check
    return PLACES.get(check, -1)  # the call is no check and comes first
