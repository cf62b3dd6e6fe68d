"""One check of one claim: whether it applies, at which effort, on which cases, and what is reported."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from normcheck import families
from normcheck.core import ask
from normcheck.core.check import Check
from normcheck.core.contract import contract, words
from normcheck.core.errors import CallError, LostError, UsageError
from normcheck.core.foreign_code import ENDS_ITS_TEST, first_line
from normcheck.core.result import ERROR, FAILED, PASSED, SKIPPED, Finding, Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine import accepted_findings, smoke
from normcheck.engine.binder import ClaimBinder
from normcheck.engine.claims import Claim
from normcheck.engine.conditions import run_conditions
from normcheck.engine.conventions import CONVENTIONS, Observed, observe, outcomes
from normcheck.engine.explainer import Causes, explain_finding, raised
from normcheck.engine.failing_cases import NOTHING
from normcheck.engine.inherited import inherited_bug, torch_bug
from normcheck.engine.replays import draw_of, replay_command, replayed_draw
from normcheck.engine.search import EFFORTS, Effort, search
from normcheck.engine.settings import Settings
from normcheck.engine.smoke import SMOKE
from normcheck.engine.warnings import WeakerRun, strict, under_weaker
from normcheck.frameworks import known_bugs
from normcheck.frameworks.known_bugs import KnownBug

MENDED = "a known bug"
"""Of what a note tells where a bug that is known of a target was not found."""

NOT_CALLED = "it cannot be called"

CALL = "call"
"""Name of the first check: can the target be loaded, bound and called at all."""


class Asker:
    """Checks claims under one set of settings; each claim is bound at its first check."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._binder = ClaimBinder(settings.isolate, settings.device, settings.ranks)
        self._observed: dict[Claim, Observed] = {}
        self._causes: dict[Claim, Causes] = {}

    def subject(self, claim: Claim) -> BoundSubject:
        """The bound implementation. Raises what binding raised, at each call."""
        return self._binder.subject(claim)

    def observed(self, claim: Claim) -> Observed:
        """The subject under the contract under which checks are run: as observed, in a replay as claimed."""
        if claim not in self._observed:
            self._observed[claim] = made = Observed(self.subject(claim))
            if self.settings.replay is None:
                # a process that ends here is reported by the check that has the same case, and not by all of them
                with run_conditions(), suppress(LostError):
                    classes = self.settings.effort != SMOKE  # each check finds them too
                    self._observed[claim] = observe(claim, made.subject, classes=classes)
        return self._observed[claim]

    def run_conventions(self, claim: Claim) -> list[Outcome]:
        """Whether an implementation follows the conventions that it claims: an outcome for each that it does not."""
        try:
            found = outcomes(claim, self.observed(claim), strict=self.settings.strict)
            return [accepted_findings.settle(one, self.settings.accepted, _today()) for one in found]
        except (UsageError, CallError, LostError):
            return [Outcome(claim.kind, claim.name, CONVENTIONS, SKIPPED, reason=NOT_CALLED)]

    def run_call(self, claim: Claim) -> Outcome:
        """Whether a claim can be loaded, bound and called."""
        started = time.perf_counter()
        plain = Outcome(claim.kind, claim.name, CALL, PASSED)
        if claim.implementation is None:
            return replace(plain, status=ERROR, reason=claim.error, usage=True)
        try:
            subject = self.subject(claim)
        except UsageError as error:
            return replace(plain, status=ERROR, reason=str(error), usage=True)
        except (CallError, LostError) as error:
            return replace(plain, status=ERROR, reason=str(error))
        seconds = time.perf_counter() - started
        notes = {"identified": f"as {claim.identified}; say --norm KIND=TARGET to demand a kind"}
        warnings = families.of(subject.entry).refusals(subject)
        if warnings and self.settings.strict:
            text = "; ".join(f"{one.name}: {one.text}" for one in warnings)
            plain = replace(plain, status=FAILED, reason=text)
        return no_refusal_by_ending(replace(
            plain, warnings=warnings, seconds=seconds, absent=dict(subject.absent), contract=words(subject.contract),
            notes=dict(subject.notes) | (notes if claim.identified else {}),
        ))  # fmt: skip

    def run_check(self, claim: Claim, check: Check) -> Outcome:
        """One check of one claim; skipped with a reason where it cannot be called or the check does not apply."""
        plain = Outcome(claim.kind, claim.name, check.name, SKIPPED)
        try:
            subject = self.observed(claim).subject
        except (UsageError, CallError, LostError):
            return replace(plain, reason=NOT_CALLED)
        self._binder.renew(claim)
        try:
            reason = check.lacks(subject) or _too_low(check, self.settings) or check.space.unsupported_reason(subject)
            return replace(plain, reason=reason) if reason else self._compared(claim, check, subject)
        except LostError as error:
            return replace(plain, status=ERROR, reason=str(error))
        except UsageError as error:  # a replay of what is no case
            return replace(plain, status=ERROR, reason=str(error), usage=True)
        except Exception as error:
            if not self._binder.has_process(claim):
                raise
            reason = f"{claim.name}: what its process sent cannot be judged: {first_line(error)}"
            return replace(plain, status=ERROR, reason=reason)

    def has_process(self, claim: Claim) -> bool:
        """Whether the implementation of a claim that was asked has a process of its own."""
        return self._binder.has_process(claim)

    def ended(self, claim: Claim, outcome: Outcome) -> Outcome:
        """The outcome of the last check of a claim, after its process has ended: an error if it has not."""
        try:
            self._binder.end(claim)
        except LostError as error:
            if outcome.finding is None:
                return replace(outcome, status=ERROR, reason=str(error))
            return replace(outcome, notes={**outcome.notes, "end of its process": str(error)})
        return outcome

    def _compared(self, claim: Claim, check: Check, subject: BoundSubject) -> Outcome:
        causes = self._causes.setdefault(claim, Causes())
        with run_conditions():
            effort = self.settings.search_effort
            effort = replace(effort, shrinks=effort.shrinks and not (causes.known or causes.unexplained))
            run = lambda subject: _run(subject, check, self.settings, effort)  # one line of two uses
            if self.settings.replay:
                found = WeakerRun(run(subject), subject)
            else:
                found = under_weaker(subject, check, run, of_formats=not (causes.known or causes.unexplained))
            outcome = self._as_claimed(claim, check, found)
            if outcome.finding is not None:
                if not (causes.known or causes.unexplained):  # later findings add the formats of their own cases
                    outcome = replace(outcome, failing=_failing(found.subject, check, outcome.finding))
                outcome = explain_finding(outcome, claim, check, found.subject, causes)
        if self.settings.strict:
            outcome = strict(outcome, found, lambda case: replay_command(claim, subject, case))
        return no_refusal_by_ending(accepted_findings.settle(outcome, self.settings.accepted, _today()))

    def _as_claimed(self, claim: Claim, check: Check, found: WeakerRun) -> Outcome:
        """The outcome under the claimed contract, if only that holds: a convention that differs is reported already."""
        finding = found.outcome.finding
        if finding is None or not self.observed(claim).findings:
            return found.outcome
        claimed = replace(found.subject, contract=self.subject(claim).contract)
        if check.lacks(claimed):
            return found.outcome
        held = ask.run_check(claimed, check, [draw_of(check, claimed, finding)])
        return found.outcome if held.finding is not None else held

    def close(self) -> None:
        """End the processes of isolated implementations."""
        self._binder.close()


def _failing(subject: BoundSubject, check: Check, finding: Finding) -> tuple[str, ...]:
    """The other formats in which a law does not hold on the case of a finding, of those that the contract claims."""
    if raised(finding):
        return ()
    draw = draw_of(check, subject, finding)
    own = getattr(draw, "format", "")
    asked = {one.name for one in getattr(check.space, "formats", ())}
    others = (name for name in subject.contract.served if name in asked and name != own)
    found = {name: ask.run_check(subject, check, [replace(draw, format=name)]).finding for name in others}
    return tuple(name for name, one in found.items() if one is not None and not raised(one))


def checks_of(claim: Claim, checks: Iterable[Check], settings: Settings) -> list[Check]:
    """The checks that concern the kind of a claim; with a replay the one that it names. None for a claim in error.

    At smoke those that find most for their time, in that order.
    """
    if claim.implementation is None:
        return []
    entry, declared = families.get(claim.kind), contract(claim.implementation.contract)
    concerned = [
        check for check in checks
        if check.concerns(entry) and check.demanded(declared)
        and (settings.replay is None or settings.replay[0] == check.name)
    ]  # fmt: skip
    few = settings.effort == SMOKE and settings.replay is None
    return smoke.checks(claim.kind, concerned) if few else concerned


def convention_check(claim: Claim, settings: Settings) -> bool:
    """Whether the conventions of a claim are measured: those of a family that can, and not while a case is replayed."""
    if claim.implementation is None or settings.replay is not None:
        return False
    return bool(families.of(families.get(claim.kind)).shown_by)


def no_refusal_by_ending(outcome: Outcome) -> Outcome:
    """The outcome; an error if an input was refused by an exception that would end its test, as pytest.skip does.

    An implementation may refuse an input by raising an error, and what it refuses is not checked. One that skips the
    test of an input, or ends the process, has not said that it refuses it.
    """
    what, why = next(((what, why) for what, why in outcome.absent.items() if why.endswith(ENDS_ITS_TEST)), ("", ""))
    if not what or outcome.status in (FAILED, ERROR):
        return outcome
    return replace(outcome, status=ERROR, reason=f"{outcome.target}: {what}: {why}")


def _today() -> date:
    return datetime.now(tz=UTC).date()


def _too_low(check: Check, settings: Settings) -> str:
    """Why a check is left out at this effort; empty if it is not. A replay runs at any effort."""
    order = list(EFFORTS)
    at_all = settings.replay is not None or settings.effort == SMOKE  # what smoke asks is listed
    if at_all or order.index(check.least) <= order.index(settings.effort):
        return ""
    return f"asked with --norm-effort {check.least}"


def _run(subject: BoundSubject, check: Check, settings: Settings, effort: Effort) -> Outcome:
    """Run the case to be repeated; else search, with regard to the bugs that are known of the target."""
    if settings.replay is not None:
        return ask.run_check(subject, check, [replayed_draw(subject, check, settings.replay[1])])
    bug = known_bugs.of(subject.name, check.name)
    if bug is None and torch_bug(subject, check) is not None:
        bug = inherited_bug(subject, check, search(subject, check, replace(effort, shrinks=False)))
    bug = bug if bug is not None and bug.shows_on(settings.device) else None
    return search(subject, check, effort) if bug is None else run_known_bug(subject, check, bug, effort)


def run_known_bug(subject: Any, check: Check, bug: KnownBug, effort: Effort) -> Outcome:
    """A check of a target with a known bug: all other cases must hold; a bug that a later version mended is a note."""
    effort = replace(effort, memory=NOTHING)  # a case that failed before may show the known bug
    rest = known_bugs.without(subject, bug)
    all_of_it = check.lacks(rest) or check.space.unsupported_reason(rest)  # the bug is in all that the check asks
    none = Outcome(subject.entry.name, subject.name, check.name, SKIPPED, reason=f"known bug: {bug.reason}")
    outcome = none if all_of_it else search(rest, check, effort)
    if outcome.finding is not None:
        return outcome
    shown = None if effort.few else search(known_bugs.only(subject, bug), check, replace(effort, shrinks=False))
    if shown is not None and shown.finding is None:
        held = shown if all_of_it else outcome
        return replace(held, notes={**held.notes, MENDED: f"not found in this version: {bug.reason}"})
    return replace(outcome, expected=bug.reason)
