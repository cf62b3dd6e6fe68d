"""A run in one process: claims bound once, checks asked of them, outcomes returned as values."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from normcheck import accepted, catalog, expected, faults
from normcheck.accepted import Accepted
from normcheck.adapters.base import Subject
from normcheck.adapters.bind import one_thread, subject
from normcheck.adapters.load import quiet
from normcheck.adapters.probe import fit
from normcheck.checks import ALL, BY_NAME
from normcheck.checks.base import Check
from normcheck.claim import Implementation, parse
from normcheck.contract import contract, words
from normcheck.diagnose import diagnose
from normcheck.draws import formats
from normcheck.errors import CallError, UsageError, suggest
from normcheck.expected import Expected
from normcheck.recipes import Draw
from normcheck.remedy import remedy
from normcheck.replay import decode, encode
from normcheck.reproduction import script
from normcheck.result import ERROR, PASSED, SKIPPED, Outcome
from normcheck.search import EFFORTS, Effort, search
from normcheck.sweep import sweep

CALL = "call"
"""Name of the first question: can it be loaded, bound and called at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One implementation to check, or why it cannot be."""

    kind: str
    name: str
    implementation: Implementation | None
    error: str = ""


def _conventions(pairs: Iterable[str]) -> dict[str, str]:
    out = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"contract {pair!r} is not KEY=VALUE, as in eps-place=outside")
        out[key.strip()] = value.strip()
    contract(out)  # a word that is not one is said before anything runs
    return out


def _claim(given: Any, conventions: dict[str, str]) -> Claim:
    kind, name = "", str(given)
    try:
        if isinstance(given, str):
            kind, _, name = given.partition("=")
            made = parse(given)
        else:
            made = given if isinstance(given, Implementation) else Implementation(*given)
        kind, name = made.kind, made.name
        catalog.get(kind)
        made = replace(made, contract={**made.contract, **conventions})
        contract(made.contract)
    except UsageError as error:
        return Claim(kind, name or str(given), None, str(error))
    return Claim(kind, name, made)


def _said(names: Sequence[str]) -> str:
    """Faults with what they do, for a message."""
    return "; ".join(f"{name}: {faults.get(name).story.partition('.')[0]}" for name in names[:2])


def _today() -> date:
    return datetime.now(tz=UTC).date()


@dataclass(slots=True)
class Session:
    """Claims with the effort to spend on them; subjects are bound at their first question."""

    claims: tuple[Claim, ...]
    effort_name: str
    effort: Effort
    only: tuple[str, Draw] | None = None  # one case of one check, to be repeated
    accepted: tuple[Accepted, ...] = ()  # findings that the project expects
    _asked_once: dict[tuple[Claim, str], Outcome] = field(default_factory=dict)
    _named: dict[Claim, tuple[str, ...]] = field(default_factory=dict)
    _bound: dict[Claim, Subject | Exception] = field(default_factory=dict)

    @classmethod
    def of(
        cls, claims: Sequence[Any], conventions: Sequence[str], effort: str, seed: Any = None, replay: str | None = None
    ) -> Session:
        """A session from words, pairs (kind, target), or `Implementation` values.

        Raises `UsageError` for conventions or an effort that are none; a claim that is none is kept and reported.
        """
        if effort not in EFFORTS:
            raise UsageError(f"unknown effort {effort!r}; known: {', '.join(EFFORTS)}")
        declared = _conventions(conventions)
        chosen = int(seed) if str(seed or "").isdigit() else None
        if effort == "deep" and chosen is None:
            chosen = random.SystemRandom().randrange(1 << 32)
        only = None if replay is None else decode(replay)
        if only is not None and only[0] not in BY_NAME:
            raise UsageError(f"replay {replay!r}: there is no check {only[0]!r}; {suggest(only[0], BY_NAME)}")
        made = {(claim.kind, claim.name): claim for claim in (_claim(given, declared) for given in claims)}
        return cls(tuple(made.values()), effort, Effort(EFFORTS[effort], chosen), only)

    def names(self) -> list[str]:
        return [f"{claim.kind}={claim.name}" for claim in self.claims]

    def settings(self) -> dict[str, Any]:
        """What a run depends on beside its claims."""
        out: dict[str, Any] = {"effort": self.effort_name, "seed": self.effort.seed}
        return out if self.only is None else out | {"replay": encode(*self.only)}

    def questions(self, checks: Sequence[Check]) -> list[tuple[Claim, Check]]:
        """The checks that concern each claim's normalizer."""
        return [
            (claim, check)
            for claim in self.claims
            if claim.implementation is not None
            for check in checks
            if check.concerns(catalog.get(claim.kind)) and (self.only is None or self.only[0] == check.name)
        ]

    def subject(self, claim: Claim) -> Subject:
        """The bound implementation. Raises what binding raised, each time."""
        assert claim.implementation is not None, "a claim with an error has no subject"
        if claim not in self._bound:
            try:
                with one_thread():
                    self._bound[claim] = subject(claim.implementation)
            except (UsageError, CallError) as error:
                self._bound[claim] = error
        found = self._bound[claim]
        if isinstance(found, Exception):
            raise found
        return found

    def call(self, claim: Claim) -> Outcome:
        """Whether the claim can be loaded, bound and called."""
        started = time.perf_counter()
        plain = Outcome(claim.kind, claim.name, CALL, PASSED)
        if claim.implementation is None:
            return replace(plain, status=ERROR, reason=claim.error, usage=True)
        try:
            found = self.subject(claim)
        except UsageError as error:
            return replace(plain, status=ERROR, reason=str(error), usage=True)
        except CallError as error:
            return replace(plain, status=ERROR, reason=str(error))
        seconds = time.perf_counter() - started
        return replace(plain, seconds=seconds, absent=dict(found.domain.absent), contract=words(found.contract))

    def ask(self, claim: Claim, check: Check) -> Outcome:
        """One check of one claim."""
        plain = Outcome(claim.kind, claim.name, check.name, SKIPPED)
        try:
            found = self.subject(claim)
        except (UsageError, CallError):
            return replace(plain, reason="it cannot be called")
        lacks = check.lacks(found) or self._later(check)
        if not lacks and not formats(check.space, found.domain):
            lacks = f"serves none of {', '.join(check.space.formats)}"
        if lacks:
            return replace(plain, reason=lacks)
        with one_thread():
            outcome = self._asked(claim, check, found)
        if outcome.finding is None:
            return accepted.settle(outcome, self.accepted, _today())
        case = outcome.finding.replay
        draw = fit(found.normalizer, decode(case)[1], found.domain.sizes)
        with one_thread(), quiet():
            lines = script(found, check.space.recipe(found.normalizer, draw))
            meant = remedy(found, check, draw)
            names = self._diagnosis(claim, found, outcome)
        made = replace(
            outcome.finding, replay=self._replay(claim, case), script=lines, remedy=meant, likely=_said(names)
        )
        return accepted.settle(replace(outcome, finding=made, diagnosis=names), self.accepted, _today())

    def once(self, claim: Claim, checks: Sequence[Check]) -> list[Outcome]:
        """Outcomes of some checks, asked at the first call; those that do not concern the claim are left out."""
        out = []
        for check in checks:
            if check.concerns(catalog.get(claim.kind)) and (claim, check.name) not in self._asked_once:
                self._asked_once[claim, check.name] = self.ask(claim, check)
                out.append(self._asked_once[claim, check.name])
            elif (claim, check.name) in self._asked_once and self._asked_once[claim, check.name].finding is not None:
                out.append(self._asked_once[claim, check.name])
        return out

    def _diagnosis(self, claim: Claim, found: Subject, outcome: Outcome) -> tuple[str, ...]:
        """The faults that a claim looks like, asked at its first finding; asked again while nothing explains it."""
        if not self._named.get(claim):
            named = diagnose(found, [outcome])
            self._named[claim] = tuple(dict.fromkeys(one for name in named for one in name.split("+")))
        return self._named[claim]

    def _asked(self, claim: Claim, check: Check, found: Subject) -> Outcome:
        if self.only is not None:
            return sweep(found, check, [fit(found.normalizer, self.only[1], found.domain.sizes)])
        entry = expected.of(claim.name, check.name)
        return search(found, check, self.effort) if entry is None else self._known(found, check, entry)

    def _later(self, check: Check) -> str:
        """Why a check is not asked at this effort: the efforts are in their order."""
        order = list(EFFORTS)
        if self.only is not None:
            return ""
        late = order.index(check.least) > order.index(self.effort_name)
        return f"asked with --norm-effort {check.least}" if late else ""

    def _known(self, found: Subject, check: Check, entry: Expected) -> Outcome:
        """A check with an expected finding: the rest must hold, and the finding must still be there."""
        outcome = search(expected.without(found, entry), check, self.effort)
        if outcome.finding is not None:
            return outcome
        known = search(expected.only(found, entry), check, self.effort)
        if known.finding is None:
            stale = f"the expected finding ({entry.reason}) is gone: remove it from normcheck/expected.py"
            return replace(outcome, status=ERROR, reason=stale)
        return replace(outcome, expected=entry.reason)

    def all(self) -> list[Outcome]:
        """Every check of every claim, in one go."""
        out = [self.call(claim) for claim in self.claims]
        return out + [self.ask(claim, check) for claim, check in self.questions(ALL)]

    def _replay(self, claim: Claim, case: str) -> str:
        """The command that repeats a case."""
        implementation = claim.implementation
        assert implementation is not None
        parts = [f"--norm-contract {key}={value}" for key, value in implementation.contract.items()]
        replay = " ".join([*parts, f"--norm-replay {shlex.quote(case)}"])
        if not isinstance(implementation.target, str):
            return f"pytest {replay}, on the test that calls normcheck.verify(..., as_={claim.kind!r})"
        return f"pytest --norm {shlex.quote(f'{claim.kind}={claim.name}')} {replay}"
