"""All correct code of this project, what it is asked, and how much of each bound it uses at most."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normcheck.core.ask import Fold, draws, run_case
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import encode
from normcheck.core.result import Finding
from normcheck.core.subject import BoundSubject
from normcheck.families import CHECKS
from normcheck.frameworks import known_bugs
from normcheck.normalizers.subject import Subject

HERE = Path(__file__).parent
SLACK = HERE / "slack.txt"
"""For each check and kind the case on which correct code comes nearest to the bound, as measured."""


def styles() -> list[Implementation]:
    """Every piece of tests/user_code/correct."""
    listed = json.loads((HERE / "user_code" / "correct.json").read_text())
    return [Implementation(one["kind"], str(HERE.parent / one["target"])) for one in listed]


def implementations() -> list[Implementation]:
    """What torch ships and what is bundled, as `pytest properties` checks them, and the styles."""
    project = runpy.run_path(str(HERE.parent / "conftest.py"))
    shipped: list[Implementation] = project["pytest_normcheck_implementations"]()
    return shipped + styles()


def surrounded() -> list[Implementation]:
    """Right code of every form, in the class of accuracy that plain code has in narrow formats.

    Its hardest cases are not kept: a form is reduced to the plain normalizer, and has its bounds.
    """
    code = HERE / "user_code" / "forms"
    pieces = json.loads((code / "pieces.json").read_text())
    pieces += [(kind, f"composed.py:{name}", form) for kind, name, form, fault in
               json.loads((code / "composed.json").read_text()) if not fault]  # fmt: skip
    plain = {"accuracy": "half", "empty": "refused", "single_value": "any"}
    return [
        Implementation(
            kind,
            str(code / (name if ":" in name else f"right.py:{name}")),
            {**plain, "form": form, **dict(word.split("=") for word in more)},
        )
        for kind, name, form, *more in pieces
    ]


def short(implementation: Implementation) -> str:
    """Its target, as it is named from the top of the project."""
    return implementation.name.removeprefix(f"{HERE.parent}/")


def questions(bound: BoundSubject) -> Iterator[tuple[BoundSubject, Check]]:
    """The checks that suit an implementation, with it as it is asked: what torch is known to get wrong is left out.

    Nor is asked what only the deepest effort asks: compiling takes seconds for each case.
    """
    for check in CHECKS:
        if not check.concerns(bound.entry) or check.least == "deep":
            continue
        known = known_bugs.of(bound.name, check.name)
        one = bound if known is None or not isinstance(bound, Subject) else known_bugs.without(bound, known)
        if not (check.lacks(one) or check.space.unsupported_reason(one)):
            yield one, check


def random_draws(one: BoundSubject, check: Check, seeds: range) -> Iterator[Any]:
    """A draw for each seed; of a check whose questions are dear, for fewer; none where there is one case to ask."""
    step = 0 if math.isinf(check.cost) else max(1, round(check.cost))
    for seed in seeds[::step] if step else ():
        yield from draws(one, check, 1, seed)


@dataclass(frozen=True, slots=True)
class Used:
    """What correct code uses of a bound at most, and on which case; exact where nothing but equality is allowed."""

    bound_ratio: float
    law: str = ""
    replay: str = ""
    exact: bool = True

    def words(self) -> str:
        return "exact" if self.exact else f"{self.bound_ratio:.3f}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A check asked of one implementation: how many cases, the hardest of them, and what would be a false alarm."""

    cases: int
    used: Used
    alarm: Finding | None


def ask(one: BoundSubject, check: Check, some: Iterable[Any]) -> Asked:
    """Every case, whatever breaks; that a "no" has no witness in any of them is an alarm too."""
    found, count, fold = Used(-1.0), 0, Fold(one, check)
    with quiet():
        for draw in some:
            case, comparison = run_case(one, check, draw)
            fold.add(draw, case, comparison)
            count += 1
            if comparison.seeks or not comparison.compared:  # a witness has no bound to stay below
                continue
            exact = found.exact and comparison.allowed == 0.0
            if comparison.bound_ratio > found.bound_ratio or exact != found.exact:
                found = Used(
                    max(comparison.bound_ratio, found.bound_ratio), comparison.law, encode(check.name, draw), exact
                )
    return Asked(count, found, fold.outcome().finding)
