"""Checks of one target at quick effort. These tests need JAX and flax, not torch: pytest tests/jax."""

from __future__ import annotations

from pathlib import Path

from normcheck.core.result import Outcome
from normcheck.engine.asker import Asker, checks_of
from normcheck.engine.claims import claim, conventions
from normcheck.engine.settings import Settings, replayed_case
from normcheck.families import CHECKS, CHECKS_BY_NAME

CODE = Path(__file__).parent / "code"


class Asked:
    """A target with the conventions that it follows."""

    def __init__(self, word: str, *declared: str, replay: str = "") -> None:
        self.settings = Settings("quick", replay=replayed_case(replay) if replay else None)
        self.claim = claim(word, conventions(declared))
        self.asker = Asker(self.settings)

    def call(self) -> Outcome:
        return self.asker.run_call(self.claim)

    def conventions(self) -> Outcome:
        """The outcome for the first convention that is not the claimed one."""
        return self.asker.run_conventions(self.claim)[0]

    def ask(self, *names: str) -> list[Outcome]:
        return [self.asker.run_check(self.claim, CHECKS_BY_NAME[name]) for name in names]

    def all(self) -> list[Outcome]:
        return [self.asker.run_check(self.claim, check) for check in checks_of(self.claim, CHECKS, self.settings)]
