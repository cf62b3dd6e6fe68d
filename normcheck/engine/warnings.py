"""A check under weaker contracts: where it holds under one, what differs is a warning, and the run goes on under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.result import FAILED, SKIPPED, CheckWarning, Finding, Outcome
from normcheck.engine.replays import draw_of


@dataclass(frozen=True, slots=True, eq=False)
class WeakerRun:
    """An outcome, the subject under the contract of that outcome, and the findings that are warnings under it."""

    outcome: Outcome
    subject: Any
    excused: tuple[tuple[CheckWarning, Finding], ...] = ()


def under_weaker(subject: Any, check: Check, run: Callable[[Any], Outcome], *, of_formats: bool = True) -> WeakerRun:
    """Run a check, and again under weaker contracts as long as a finding is only a warning under one.

    of_formats: whether warnings about a single format are possible; where another cause is known they are not, since
    what it does in a narrow format may lie within what is allowed to a lower class.
    """
    made = WeakerRun(run(subject), subject)
    while made.outcome.finding is not None:
        weaker = families.of(subject.entry).weaker
        steps = weaker(made.subject, check, draw_of(check, made.subject, made.outcome.finding))
        step = next((one for one in steps if of_formats or not one[0].format), None)
        if step is None:
            return made  # worse than any weaker contract allows: a finding, whatever was excused before
        warning, lower = step
        excused = (*made.excused, (warning, made.outcome.finding))
        reason = check.lacks(lower) or check.space.unsupported_reason(lower)
        left_out = Outcome(made.outcome.kind, made.outcome.target, check.name, SKIPPED, reason=reason)
        made = WeakerRun(left_out if reason else run(lower), lower, excused)
    warnings = (*made.outcome.warnings, *(warning for warning, _ in made.excused))
    return replace(made, outcome=replace(made.outcome, warnings=tuple(dict.fromkeys(warnings))))


def strict(outcome: Outcome, run: WeakerRun, command: Callable[[str], str]) -> Outcome:
    """The outcome where warnings fail: with the first finding that is one. command: makes one of a replay id."""
    if outcome.finding is not None or not outcome.warnings:
        return outcome
    text = "; ".join(f"{warning.name}: {warning.text}" for warning in outcome.warnings)
    failed = replace(outcome, status=FAILED, reason=text)
    if not run.excused:
        return failed
    return replace(failed, finding=as_finding(*run.excused[0], command))


def as_finding(warning: CheckWarning, finding: Finding, command: Callable[[str], str]) -> Finding:
    """The finding of which a warning is made, with the warning as its cause. command: makes one of a replay id."""
    return replace(
        finding, cause=warning.name, remedy=warning.declare, detail=warning.text, replay=command(finding.replay),
        smallest=command(finding.smallest) if finding.smallest else "",
    )  # fmt: skip
