"""These tests need JAX and flax, not torch: pytest tests/jax, in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from normcheck.engine.session import Session

from normcheck.core.result import Outcome
from normcheck.families import CHECKS, CHECKS_BY_NAME

CODE = Path(__file__).parent / "code"


class Asked:
    """One target and what checks of it came to."""

    def __init__(self, claim: str, *conventions: str, replay: str | None = None) -> None:
        self.session = Session.of([claim], conventions, "quick", None, replay)
        (self.claim,) = self.session.claims

    def call(self) -> Outcome:
        return self.session.call(self.claim)

    def ask(self, *names: str) -> list[Outcome]:
        return [self.session.ask(self.claim, CHECKS_BY_NAME[name]) for name in names]

    def all(self) -> list[Outcome]:
        return [self.session.ask(*question) for question in self.session.questions(CHECKS)]
