"""One check as a Hypothesis test, for fuzzers and for tests that a project writes itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from normcheck.core.ask import finding, run_case
from normcheck.core.errors import FindingsError, UsageError, suggest
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import claim, conventions_of
from normcheck.engine.conditions import run_conditions
from normcheck.engine.explainer import replay_command
from normcheck.engine.settings import Settings
from normcheck.engine.strategies import draws_from
from normcheck.families import CHECKS_BY_NAME


def given_cases(
    target: Any,
    as_: str,
    check: str,
    contract: Mapping[str, Any] | None,
    describe: Callable[[str, str, Mapping[str, Any]], str],
) -> Callable[[], None]:
    """What `api.given_cases` returns. describe: the text of a finding, from kind, target and its record."""
    made, options = claim((as_, target), conventions_of(contract)), Settings()
    if made.implementation is None:
        raise UsageError(made.error)
    if check not in CHECKS_BY_NAME:
        raise UsageError(f"there is no check {check!r}; {suggest(check, CHECKS_BY_NAME)}")
    chosen = CHECKS_BY_NAME[check]
    if not checks_of(made, [chosen], options):
        raise UsageError(f"the check {check} is not one of a {as_}")
    with closing(Asker(options)) as asker:
        subject = asker.subject(made)
    reason = chosen.lacks(subject) or chosen.space.unsupported_reason(subject)
    if reason:
        raise UsageError(f"{made.name}: the check {check} has no cases: {reason}")

    @settings(deadline=None)  # the first case of a kernel may compile it
    @given(draw=draws_from(chosen.space, subject))
    def holds(draw: Any) -> None:
        with run_conditions():
            case, comparison = run_case(subject, chosen, draw)
        if not comparison.holds and not comparison.seeks:
            found = finding(chosen, draw, case, comparison)
            shown = replace(found, replay=replay_command(made, found.replay)).record()
            raise FindingsError(describe(made.kind, made.name, shown))

    return holds
