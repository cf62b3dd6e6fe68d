"""The property suite of one session, run check by check.

Imports the engine, and so the frameworks: it is loaded when an implementation is named, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from normcheck.core.check import Check
from normcheck.core.events import Event, outcomes_of
from normcheck.core.result import Outcome
from normcheck.engine import accepted_file, accepted_findings
from normcheck.engine.accepted_findings import AcceptedFinding
from normcheck.engine.asker import Asker, checks_of, convention_check
from normcheck.engine.claims import Claim, claims, conventions
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.run import bind_events, check_events, convention_events, events
from normcheck.engine.search import shared
from normcheck.engine.settings import Settings, replayed_case
from normcheck.families import CHECKS_BY_NAME
from normcheck.pytest_plugin import seed
from normcheck.report import files


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """The claims of a session, what checks them, and the outcomes so far."""

    claims: tuple[Claim, ...]
    asker: Asker
    outcomes: dict[tuple[Claim, str], Outcome] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The claims as test ids have them."""
        return [f"{claim.kind}={claim.name}" for claim in self.claims]

    def questions(self, checks: Sequence[Check]) -> list[tuple[Claim, Check]]:
        """Every claim with each of the checks that concern it."""
        return [(claim, check) for claim in self.claims for check in checks_of(claim, checks, self.asker.settings)]

    def measured(self) -> list[Claim]:
        """The claims whose conventions are measured."""
        return [claim for claim in self.claims if convention_check(claim, self.asker.settings)]

    def conventions(self, claim: Claim) -> list[Event]:
        """The events of the comparison of a claim's conventions with those that it follows."""
        return list(convention_events(self.asker, claim))

    def ask(self, claim: Claim, check: Check | None, *, last: bool = False) -> list[Event]:
        """The events of one check of a claim, or of binding it; the outcome is kept. last: no other check follows."""
        asker = self.asker
        found = list(bind_events(asker, claim) if check is None else check_events(asker, claim, check, last=last))
        self.outcomes.update({(claim, one.check): one for one in outcomes_of(found)})
        return found


def suite_run(given: Sequence[Any], words: Sequence[str], settings: Settings) -> SuiteRun:
    """The run of words, pairs or `Implementation`s. words: conventions. Raises `UsageError` for a wrong convention."""
    return SuiteRun(claims(given, conventions(words)), Asker(settings))


def settings_of(config: pytest.Config, effort: str, isolate: Any) -> Settings:
    """The settings that the options of a session ask for. Raises `UsageError` for options that cannot be read."""
    replay = config.getoption("norm_replay")
    return Settings(
        effort=effort,
        seed=seed.seed(config),
        replay=None if replay is None else replayed_case(replay),
        failing_cases=shared(),
        accepted=_accepted(config),
        isolate=isolate,
        strict=bool(config.getoption("norm_strict") or config.getini("norm_strict")),
        device=config.getoption("norm_device"),
    )


def verify_events(target: Any, kind: str, words: Sequence[str], settings: Settings) -> Iterator[Event]:
    """All checks of one target inside one test."""
    return events(claims([(kind, target)], conventions(words)), settings)


def _accepted(config: pytest.Config) -> tuple[AcceptedFinding, ...]:
    """What the project has accepted in its pyproject.toml, and what the baseline of this run holds."""
    project = config.rootpath / "pyproject.toml"
    found = accepted_file.read(project, (*CHECKS_BY_NAME, CONVENTIONS))
    if config.getoption("norm_accept") is not None:
        accepted_file.require_writable(project, config.getoption("norm_accept"))
    baseline = config.getoption("norm_baseline")
    if baseline is None:
        return found
    path = Path(baseline)
    return found + accepted_findings.of_saved_run(path.name, files.read(path))
