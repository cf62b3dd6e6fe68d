"""A run in one process: claims bound once, checks asked of them, outcomes returned as values."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.claim import Implementation, parse
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, LostError, UsageError, suggest
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import decode, encode, named
from normcheck.core.result import ERROR, PASSED, SKIPPED, Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine import accepted_findings, known_bugs
from normcheck.engine.accepted_findings import AcceptedFinding
from normcheck.engine.failing_cases import NOTHING
from normcheck.engine.known_bugs import KnownBug
from normcheck.engine.search import EFFORTS, Effort, search
from normcheck.families import CHECKS, CHECKS_BY_NAME
from normcheck.frameworks import registry
from normcheck.frameworks.isolation.remote import Limits, Remote
from normcheck.identify.identify import identify
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Subject

CALL = "call"
"""Name of the first question: can it be loaded, bound and called at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One implementation to check, or why it cannot be."""

    kind: str
    name: str
    implementation: Implementation | None
    error: str = ""
    identified: str = ""  # what it was found to be, where no kind was named


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
    kind, name, found = "", str(given), ""
    try:
        if isinstance(given, str) and "=" in given:
            kind, _, name = given.partition("=")
            made = parse(given)
        elif isinstance(given, str):
            made = _identified(given)
            found = " ".join((made.kind, *(f"{key}={value}" for key, value in made.contract.items())))
        else:
            made = given if isinstance(given, Implementation) else Implementation(*given)
        kind, name = made.kind, made.name
        families.get(kind)
        made = replace(made, contract={**made.contract, **conventions})
        contract(made.contract)
    except UsageError as error:
        return Claim(kind, name or str(given), None, str(error))
    return Claim(kind, name, made, identified=found)


def _identified(target: str) -> Implementation:
    """A target without a kind, as what its behavior shows it to be, with the conventions that it follows."""
    parse(f"kind={target}")  # whether it names anything
    card = identify(target)
    if not card.kind:
        near = f"; nearest is {card.nearest[0][0]}" if card.nearest else ""
        raise UsageError(
            f"{target} behaves as no kind that is known{near}: name the one that it is meant to be, as in "
            f"--norm {card.bound_as}={target}"
        )
    return Implementation(card.kind, target, card.contract)


def _said(names: Sequence[str]) -> str:
    """Faults with what they do, for a message."""
    return "; ".join(f"{name}: {families.fault(name).story.partition('.')[0]}" for name in names[:2])


def _repeated(replay: str) -> tuple[str, Any]:
    """The check and the draw of a replay. Raises `UsageError` where it is none."""
    name = named(replay)
    if name not in CHECKS_BY_NAME:
        raise UsageError(f"replay {replay!r}: there is no check {name!r}; {suggest(name, CHECKS_BY_NAME)}")
    return decode(replay, CHECKS_BY_NAME[name].space.plain)


def _today() -> date:
    return datetime.now(tz=UTC).date()


@dataclass(slots=True)
class Session:
    """Claims with the effort to spend on them; subjects are bound at their first question."""

    claims: tuple[Claim, ...]
    effort_name: str
    effort: Effort
    only: tuple[str, Any] | None = None  # one case of one check, to be repeated
    accepted: tuple[AcceptedFinding, ...] = ()  # findings that the project expects
    isolate: Limits | None = None  # each implementation in a process of its own
    device: str = "cpu"  # where cases lie, as torch writes it
    known: dict[tuple[Claim, str], Outcome] = field(default_factory=dict)  # answers so far, by claim and question
    _named: dict[Claim, tuple[str, ...]] = field(default_factory=dict)
    _bound: dict[Claim, BoundSubject | Exception] = field(default_factory=dict)
    _remotes: dict[Claim, Remote] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        claims: Sequence[Any],
        conventions: Sequence[str],
        effort: str,
        seed: int | None = None,
        replay: str | None = None,
    ) -> Session:
        """A session from words, pairs (kind, target), or `Implementation` values.

        Raises `UsageError` for conventions or an effort that are none; a claim that is none is kept and reported.
        """
        if effort not in EFFORTS:
            raise UsageError(f"unknown effort {effort!r}; known: {', '.join(EFFORTS)}")
        declared = _conventions(conventions)
        only = None if replay is None else _repeated(replay)
        made = {(claim.kind, claim.name): claim for claim in (_claim(given, declared) for given in claims)}
        return cls(tuple(made.values()), effort, Effort(EFFORTS[effort], seed), only)

    def names(self) -> list[str]:
        return [f"{claim.kind}={claim.name}" for claim in self.claims]

    def settings(self) -> dict[str, Any]:
        """What a run depends on beside its claims."""
        out: dict[str, Any] = {"effort": self.effort_name, "seed": self.effort.seed}
        return out if self.only is None else out | {"replay": encode(*self.only)}

    def questions(self, checks: Sequence[Check]) -> list[tuple[Claim, Check]]:
        """The checks that concern what each claim is."""
        return [
            (claim, check)
            for claim in self.claims
            if claim.implementation is not None
            for check in checks
            if check.concerns(families.get(claim.kind)) and (self.only is None or self.only[0] == check.name)
        ]

    def subject(self, claim: Claim) -> BoundSubject:
        """The bound implementation. Raises what binding raised, each time."""
        assert claim.implementation is not None, "a claim with an error has no subject"
        if claim not in self._bound:
            try:
                with registry.settings():
                    self._bound[claim] = self._bind(claim, claim.implementation)
            except (UsageError, CallError, LostError) as error:
                self._bound[claim] = error
        found = self._bound[claim]
        if isinstance(found, Exception):
            raise found
        return found

    def _bind(self, claim: Claim, implementation: Implementation) -> BoundSubject:
        if self.device != "cpu" and not isinstance(families.get(claim.kind), Normalizer):
            raise UsageError(
                f"{claim.name}: a {claim.kind} runs on the processor alone: check it without --norm-device"
            )
        if self.isolate is None:
            return families.bind(implementation)
        if not isinstance(implementation.target, str):
            raise UsageError(f"{claim.name}: isolation needs a target as text, as in mypkg.kernels:fast_layer_norm")
        if not isinstance(families.get(claim.kind), Normalizer):
            raise UsageError(f"{claim.name}: a {claim.kind} is not isolated yet: check it without --norm-isolate")
        self._remotes[claim] = remote = Remote(implementation, families.get(claim.kind), self.isolate)
        return remote.subject()

    def close(self) -> None:
        """End the processes of implementations."""
        for remote in self._remotes.values():
            remote.close()

    def call(self, claim: Claim) -> Outcome:
        """Whether the claim can be loaded, bound and called."""
        self.known[claim, CALL] = outcome = self._call(claim)
        return outcome

    def _call(self, claim: Claim) -> Outcome:
        started = time.perf_counter()
        plain = Outcome(claim.kind, claim.name, CALL, PASSED)
        if claim.implementation is None:
            return replace(plain, status=ERROR, reason=claim.error, usage=True)
        try:
            found = self.subject(claim)
        except UsageError as error:
            return replace(plain, status=ERROR, reason=str(error), usage=True)
        except (CallError, LostError) as error:
            return replace(plain, status=ERROR, reason=str(error))
        seconds = time.perf_counter() - started
        said = {"identified": f"as {claim.identified}; say --norm KIND=TARGET to demand a kind"}
        return replace(
            plain, seconds=seconds, absent=dict(found.absent), contract=words(found.contract),
            notes=said if claim.identified else {},
        )  # fmt: skip

    def ask(self, claim: Claim, check: Check) -> Outcome:
        """One check of one claim."""
        self.known[claim, check.name] = outcome = self._ask(claim, check)
        return outcome

    def _ask(self, claim: Claim, check: Check) -> Outcome:
        plain = Outcome(claim.kind, claim.name, check.name, SKIPPED)
        try:
            found = self.subject(claim)
        except (UsageError, CallError, LostError):
            return replace(plain, reason="it cannot be called")
        if claim in self._remotes:
            self._remotes[claim].renew()
        try:
            return self._answered(claim, check, found, plain)
        except LostError as error:
            return replace(plain, status=ERROR, reason=str(error))

    def _answered(self, claim: Claim, check: Check, found: BoundSubject, plain: Outcome) -> Outcome:
        lacks = check.lacks(found) or self._later(check) or check.space.unsupported_reason(found)
        if lacks:
            return replace(plain, reason=lacks)
        with registry.settings():
            outcome = self._asked(claim, check, found)
        if outcome.finding is None:
            return accepted_findings.settle(outcome, self.accepted, _today())
        case = outcome.finding.replay
        draw, family = check.space.adapt(found, _repeated(case)[1]), families.of(found.entry)
        with registry.settings(), quiet():
            lines = family.script(found, check.space.recipe(found.entry, draw))
            meant = family.remedy(found, check, draw)
            names = self._diagnosis(claim, found, outcome)
        made = replace(
            outcome.finding, replay=self._replay(claim, case), script=lines, remedy=meant, likely=_said(names)
        )
        return accepted_findings.settle(replace(outcome, finding=made, diagnosis=names), self.accepted, _today())

    def _diagnosis(self, claim: Claim, found: BoundSubject, outcome: Outcome) -> tuple[str, ...]:
        """The faults that a claim looks like, asked at its first finding; asked again while nothing explains it."""
        if not self._named.get(claim):
            names = families.of(found.entry).diagnose(found, [outcome])
            self._named[claim] = tuple(dict.fromkeys(one for name in names for one in name.split("+")))
        return self._named[claim]

    def _asked(self, claim: Claim, check: Check, found: BoundSubject) -> Outcome:
        if self.only is not None:
            return run_check(found, check, [check.space.adapt(found, self.only[1])])
        entry = known_bugs.of(claim.name, check.name)
        if entry is None or not isinstance(found, Subject):
            return search(found, check, self.effort)
        return self._known(found, check, entry)

    def _later(self, check: Check) -> str:
        """Why a check is not asked at this effort: the efforts are in their order."""
        order = list(EFFORTS)
        if self.only is not None:
            return ""
        late = order.index(check.least) > order.index(self.effort_name)
        return f"asked with --norm-effort {check.least}" if late else ""

    def _known(self, found: Subject, check: Check, entry: KnownBug) -> Outcome:
        """A check with an expected finding: the rest must hold, and the finding must still be there."""
        effort = replace(self.effort, memory=NOTHING)  # what is remembered may be what is expected
        outcome = search(known_bugs.without(found, entry), check, effort)
        if outcome.finding is not None:
            return outcome
        known = search(known_bugs.only(found, entry), check, effort)
        if known.finding is None:
            stale = f"the expected finding ({entry.reason}) is gone: remove it from normcheck/engine/known_bugs.py"
            return replace(outcome, status=ERROR, reason=stale)
        return replace(outcome, expected=entry.reason)

    def all(self) -> list[Outcome]:
        """Every check of every claim, in one go."""
        out = [self.call(claim) for claim in self.claims]
        return out + [self.ask(claim, check) for claim, check in self.questions(CHECKS)]

    def _replay(self, claim: Claim, case: str) -> str:
        """The command that repeats a case."""
        implementation = claim.implementation
        assert implementation is not None
        parts = [f"--norm-contract {key}={value}" for key, value in implementation.contract.items()]
        replay = " ".join([*parts, f"--norm-replay {shlex.quote(case)}"])
        if not isinstance(implementation.target, str):
            return f"pytest {replay}, on the test that calls normcheck.verify(..., as_={claim.kind!r})"
        return f"pytest --norm {shlex.quote(f'{claim.kind}={claim.name}')} {replay}"
