"""What is added to a finding for its reader: script, remedy, diagnosis, the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from normcheck import families
from normcheck.core.check import Check
from normcheck.core.result import Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine.claims import Claim
from normcheck.engine.settings import replayed_case


class Diagnoses:
    """The names of the faults that each claim looks like, most likely first."""

    def __init__(self) -> None:
        self._names: dict[Claim, tuple[str, ...]] = {}

    def names(self, claim: Claim, subject: BoundSubject, outcome: Outcome) -> tuple[str, ...]:
        """Found at the first finding of a claim; searched for again at later ones while no fault explains them."""
        if not self._names.get(claim):
            found = families.of(subject.entry).diagnose(subject, [outcome])
            self._names[claim] = tuple(dict.fromkeys(one for name in found for one in name.split("+")))
        return self._names[claim]


def explain_finding(
    outcome: Outcome, claim: Claim, check: Check, subject: BoundSubject, diagnoses: Diagnoses
) -> Outcome:
    """The outcome of a check whose law does not hold, with all that a reader needs to reproduce and to repair it."""
    assert outcome.finding is not None, "nothing to explain"
    case = outcome.finding.replay
    draw, family = check.space.adapt(subject, replayed_case(case)[1]), families.of(subject.entry)
    names = diagnoses.names(claim, subject, outcome)
    finding = replace(
        outcome.finding,
        replay=replay_command(claim, case),
        script=family.script(subject, check.space.recipe(subject.entry, draw)),
        remedy=family.remedy(subject, check, draw),
        likely=_likely(names),
    )
    return replace(outcome, finding=finding, diagnosis=names)


def _likely(names: Sequence[str]) -> str:
    """The first two faults, each with what it does."""
    return "; ".join(f"{name}: {families.fault(name).story.partition('.')[0]}" for name in names[:2])


def replay_command(claim: Claim, case: str) -> str:
    """The command that runs one case again. case: its replay id."""
    implementation = claim.implementation
    assert implementation is not None, "a claim with an error has no case"
    parts = [f"--norm-contract {key}={value}" for key, value in implementation.contract.items()]
    replay = " ".join([*parts, f"--norm-replay {shlex.quote(case)}"])
    if not isinstance(implementation.target, str):
        return f"pytest {replay}, on the test that calls normcheck.verify(..., as_={claim.kind!r})"
    return f"pytest --norm {shlex.quote(f'{claim.kind}={claim.name}')} {replay}"
