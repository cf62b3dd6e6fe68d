"""The conventions that an implementation follows beside those that it claims: what differs is reported once, here.

Everything else is then checked under the contract that was observed, so that it looks for further causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from normcheck import families
from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract, values
from normcheck.core.result import FAILED, PASSED, CheckWarning, Finding, Outcome
from normcheck.engine.claims import Claim
from normcheck.engine.replays import draw_of, replay_command
from normcheck.engine.warnings import as_finding, under_weaker

ORDINARY = 3.0
"""The largest ratio of mean to deviation of a case without particular difficulty."""

CONVENTIONS = "conventions"
"""Name of the check that compares the claimed conventions with the observed ones; it runs after `call`."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """A subject under the contract under which it is checked, and what differs from the claimed one."""

    subject: Any  # a `BoundSubject` that `dataclasses.replace` accepts
    findings: tuple[Finding, ...] = ()  # one for each convention that is not the claimed one
    excused: tuple[tuple[CheckWarning, Finding], ...] = ()  # what is right, but weaker than in torch
    demanding: Any = None  # the subject under the contract under which what is excused fails


def observe(claim: Claim, subject: Any, *, classes: bool = True) -> Observed:
    """Measure the contract; a difference counts only if a case shows it. classes: whether those of accuracy are too."""
    found = families.of(subject.entry).observe(subject)
    under = replace(subject, contract=found)
    changed = _changed(found, subject.contract)
    shown = {key: _shown(under, key, value) for key, value in changed.items()}
    for key, finding in shown.items():
        if finding is None:
            under = _with(under, key, changed[key])
    findings: list[Finding] = []
    excused: list[tuple[CheckWarning, Finding]] = []
    demanding = under
    for key, finding in shown.items():
        if finding is None:
            continue
        warning = _warning(under, key, changed[key])
        if warning is None:
            findings.append(_told(claim, under, key, changed[key], finding))
        else:
            excused.append((warning, replace(finding, check=CONVENTIONS)))
            demanding = _with(demanding, key, changed[key])
    weaker, more = _weaker(under) if classes else (under, ())
    return Observed(weaker, tuple(findings), (*excused, *more), demanding)


def _warning(observed: Any, key: str, claimed: str) -> CheckWarning | None:
    """The warning that a convention is which differs from the claimed one; None if it is a finding."""
    return families.of(observed.entry).convention_warnings.get((key, claimed, values(observed.contract)[key]))


def _weaker(subject: Any) -> tuple[Any, tuple[tuple[CheckWarning, Finding], ...]]:
    """The subject under the weaker contracts that the examples of one check show, so that no other repeats that."""
    excused: list[tuple[CheckWarning, Finding]] = []
    for name in families.of(subject.entry).shown_by.get("accuracy", ()):
        check = families.CHECKS_BY_NAME[name]
        if check.lacks(subject) or check.space.unsupported_reason(subject):
            continue
        by_format: dict[str, list[Any]] = {}
        for draw in check.space.explicit_examples(subject):
            by_format.setdefault(draw.format, []).append(draw)
        wrong = False
        for draws in by_format.values():  # what is wrong in one format does not hide what another one is
            if wrong and subject.domain.compiles_per_shape:
                break  # what it is beside a fault is not worth the compilations
            some = [draw for draw in draws if not wrong or _ordinary(draw)]
            run = under_weaker(subject, check, partial(_of_examples, check=check, examples=some))
            if run.outcome.finding is None:
                subject = run.subject
                excused += () if wrong else run.excused  # else it may be the same cause, within what the class allows
            wrong |= run.outcome.finding is not None
    return subject, tuple(excused)


def _ordinary(draw: Any) -> bool:
    """Whether a case is one on which only a class of accuracy shows, and no fault that cancels or overflows."""
    return not getattr(draw, "scale", 0) and getattr(draw, "offset", 1.0) <= ORDINARY


def _of_examples(subject: Any, check: Check, examples: Sequence[Any]) -> Outcome:
    """The check on those of some draws whose format the subject serves."""
    return run_check(subject, check, [draw for draw in examples if draw.format in subject.domain.formats])


def outcomes(claim: Claim, observed: Observed, *, strict: bool) -> Iterator[Outcome]:
    """One outcome for each difference; without any, one that passes. strict: whether a warning is a difference."""
    plain = Outcome(claim.kind, claim.name, CONVENTIONS, PASSED)
    findings = list(observed.findings)
    if strict:
        command = lambda case: replay_command(claim, observed.demanding, case)  # one line of two uses
        findings += [as_finding(warning, finding, command) for warning, finding in observed.excused]
    elif observed.excused:
        plain = replace(plain, warnings=tuple(warning for warning, _ in observed.excused))
    for finding in findings:
        named = (finding.cause,) if finding.cause in families.FAULTS else ()
        yield replace(plain, status=FAILED, finding=finding, diagnosis=named)
    if not findings:
        yield plain


def _changed(found: Contract, promised: Contract) -> dict[str, str]:
    """Keys whose values differ, with the claimed value."""
    before, after = values(promised), values(found)
    return {key: value for key, value in before.items() if value != after[key]}


def _with(subject: Any, key: str, value: str) -> Any:
    return replace(subject, contract=replace(subject.contract, **{key.replace("-", "_"): value}))


def _shown(observed: Any, key: str, claimed: str) -> Finding | None:
    """A finding that one claimed convention makes, and the observed one does not; None if no check has one."""
    other = _with(observed, key, claimed)
    for name in families.of(observed.entry).shown_by.get(key, ()):
        check = families.CHECKS_BY_NAME[name]
        if check.concerns(observed.entry) and not check.lacks(observed):
            finding = _failing_only(other, observed, check)
            if finding is not None:
                return finding
    return None


def _told(claim: Claim, observed: Any, key: str, claimed: str, finding: Finding) -> Finding:
    """The finding of a convention, with its cause, the option that declares it, and the command that repeats it."""
    family, value = families.of(observed.entry), values(observed.contract)[key]
    other, check = _with(observed, key, claimed), families.CHECKS_BY_NAME[finding.check]
    case = check.space.recipe(observed.entry, draw_of(check, other, finding))
    bits = f"; {finding.detail}" if finding.detail and finding.allowed == 0.0 else ""  # what numbers do not tell
    return replace(
        finding,
        check=CONVENTIONS,
        script=family.script(other, case),
        cause=family.convention_faults.get((key, value), f"{key}={value}"),
        remedy=f"{key}={value}",
        detail=f"it follows {key}={value}, and {key}={claimed} is claimed; the check {check.name} shows it{bits}",
        replay=replay_command(claim, other, finding.replay),
    )


def _failing_only(one: Any, other: Any, check: Check) -> Finding | None:
    """The finding on the first example that is wrong under the contract of one subject and right under the other's."""
    for draw in check.space.explicit_examples(one):
        finding = run_check(one, check, [draw]).finding
        if finding is not None and run_check(other, check, [draw]).finding is None:
            return finding
    return None
