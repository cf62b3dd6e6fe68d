"""One check of one claim as a Hypothesis test, for fuzzers and for tests that a project writes itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from normcheck.core.ask import finding, run_case
from normcheck.core.errors import FindingsError, UsageError, suggest
from normcheck.core.result import Finding
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import Claim
from normcheck.engine.conditions import run_conditions
from normcheck.engine.replays import replay_command
from normcheck.engine.settings import Settings
from normcheck.engine.strategies import draws_from
from normcheck.families import CHECKS_BY_NAME


def case_test(claim: Claim, name: str, text: Callable[[Finding], str]) -> Callable[[], None]:
    """A function made with `hypothesis.given` that runs the check of that name on drawn cases of a claim.

    It raises `FindingsError` with the text of the finding. Raises `UsageError` for a claim with an error and for a
    check that does not exist or has no cases for it, and what binding raises.
    """
    if claim.implementation is None:
        raise UsageError(claim.error)
    if name not in CHECKS_BY_NAME:
        raise UsageError(f"there is no check {name!r}; {suggest(name, CHECKS_BY_NAME)}")
    check, options = CHECKS_BY_NAME[name], Settings()
    if not checks_of(claim, [check], options):
        raise UsageError(f"the check {name} does not concern {claim.kind}")
    with closing(Asker(options)) as asker:
        subject = asker.subject(claim)
    reason = check.lacks(subject) or check.space.unsupported_reason(subject)
    if reason:
        raise UsageError(f"{claim.name}: the check {name} has no cases: {reason}")

    def holds(draw: Any) -> None:
        with run_conditions():
            case, comparison = run_case(subject, check, draw)
        if not comparison.holds and not comparison.seeks:
            found = finding(check, draw, case, comparison)
            raise FindingsError(text(replace(found, replay=replay_command(claim, subject, found.replay))))

    # Hypothesis stores examples by the name of a function
    holds.__name__ = re.sub(r"\W", "_", f"{name}_{claim.kind}_{claim.name}")
    test = given(draw=draws_from(check.space, subject))(holds)
    return settings(deadline=None)(test)  # the first case may compile a kernel
