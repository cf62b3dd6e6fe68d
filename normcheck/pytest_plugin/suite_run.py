"""The property suite of one session, run check by check.

Imports the engine, and so the frameworks: it is loaded when an implementation is named, and not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from normcheck.core.check import Check
from normcheck.core.events import Event, outcomes_of
from normcheck.core.result import ERROR, Outcome
from normcheck.core.version import __version__
from normcheck.engine import accepted_file, accepted_findings
from normcheck.engine.accepted_findings import AcceptedFinding
from normcheck.engine.asker import CALL, Asker, checks_of, convention_check
from normcheck.engine.claims import Claim, claims, conventions
from normcheck.engine.conventions import CONVENTIONS
from normcheck.engine.coverage import Question
from normcheck.engine.run import bind_events, check_events, convention_events, events, questions
from normcheck.engine.search import shared
from normcheck.engine.settings import Settings, replayed_case
from normcheck.engine.verdict import environment
from normcheck.families import CHECKS_BY_NAME
from normcheck.pytest_plugin import project, seed
from normcheck.report import files
from normcheck.report.services import problems


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """The claims of a session, what checks them, and the outcomes so far."""

    claims: tuple[Claim, ...]
    asker: Asker
    outcomes: dict[tuple[Claim, str], Outcome] = field(default_factory=dict)
    selected: set[Question] = field(default_factory=set)  # the questions that this session asks

    def names(self) -> list[str]:
        """The claims as test ids have them."""
        return [f"{claim.kind}={claim.name}" for claim in self.claims]

    def questions(self, checks: Sequence[Check]) -> list[tuple[Claim, Check]]:
        """Every claim with each of the checks that concern it: those of the catalog as their families ask them."""
        asked = [CHECKS_BY_NAME.get(check.name, check) for check in checks]
        return [(claim, check) for claim in self.claims for check in checks_of(claim, asked, self.asker.settings)]

    def measured(self) -> list[Claim]:
        """The claims whose conventions are measured."""
        return [claim for claim in self.claims if convention_check(claim, self.asker.settings)]

    def conventions(self, claim: Claim) -> Iterator[Event]:
        """The events of the comparison of a claim's conventions with those that it follows."""
        yield from self._kept(claim, self._not_bound(claim))
        yield from convention_events(self.asker, claim)

    def ask(self, claim: Claim, check: Check | None, *, last: bool = False) -> Iterator[Event]:
        """The events of one check of a claim, or of binding it; the outcome is kept. last: no other check follows."""
        if check is None:
            yield from self._kept(claim, bind_events(self.asker, claim))
        else:
            yield from self._kept(claim, self._not_bound(claim))
            yield from self._kept(claim, check_events(self.asker, claim, check, last=last))

    def _kept(self, claim: Claim, events: Iterable[Event]) -> Iterator[Event]:
        for one in events:
            self.outcomes.update({(claim, outcome.check): outcome for outcome in outcomes_of([one])})
            yield one

    def _not_bound(self, claim: Claim) -> Iterator[Event]:
        """Why a claim cannot be bound, where the test that reports it is not selected; nothing where it can."""
        if (claim.kind, claim.name, CALL) not in self.selected and (claim, CALL) not in self.outcomes:
            for one in bind_events(self.asker, claim):
                self.outcomes.update({(claim, outcome.check): outcome for outcome in outcomes_of([one])})
                if any(outcome.status == ERROR for outcome in outcomes_of([one])):
                    yield one

    def header(self) -> dict[str, Any]:
        """What the journal of this run begins with."""
        return {
            "normcheck": __version__,
            "settings": self.asker.settings.record(),
            "environment": environment(),
            "conditions": self._conditions(),
            "planned": [list(one) for one in questions(self.claims, self.asker.settings)],
        }

    def _conditions(self) -> dict[str, Any]:
        """What the answers of a run depend on, beside the code itself."""
        settings = self.asker.settings
        return settings.record() | {
            "strict": settings.strict, "device": settings.device, "ranks": settings.ranks,
            "isolated": None if settings.isolate is None else settings.isolate.every,
            "contracts": {
                f"{claim.kind}={claim.name}": dict(claim.implementation.contract)
                for claim in self.claims if claim.implementation is not None
            },
            "accepted": sorted(f"{one.kind} {one.target} {one.check}".strip() for one in settings.accepted),
            "sources": {claim.name: _digest(claim.name) for claim in self.claims},
        }  # fmt: skip


def _digest(target: str) -> str:
    """The digest of the file that defines a target; empty where it is not found below the working directory."""
    place = Path.cwd() / problems.locate(target, Path.cwd()).path
    return hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ""


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
        strict=bool(config.getoption("norm_strict") or config.getini("norm_strict") or project.said(config, "strict")),
        device=config.getoption("norm_device"),
        ranks=config.getoption("norm_ranks"),
    )


def verification(
    target: Any, kind: str, words: Sequence[str], settings: Settings
) -> tuple[list[Question], Iterator[Event]]:
    """The questions about one target inside one test, and the events of asking them."""
    made = claims([(kind, target)], conventions(words))
    return list(questions(made, settings)), events(made, settings)


def _accepted(config: pytest.Config) -> tuple[AcceptedFinding, ...]:
    """What the project has accepted in its pyproject.toml, and what the baseline of this run holds."""
    path = config.rootpath / "pyproject.toml"
    found = accepted_file.read(path, (*CHECKS_BY_NAME, CONVENTIONS))
    if config.getoption("norm_accept") is not None:
        accepted_file.require_writable(path, config.getoption("norm_accept"))
    baseline = config.getoption("norm_baseline")
    if baseline is None:
        return found
    saved = Path(baseline)
    return found + accepted_findings.of_saved_run(saved.name, files.read(saved))
