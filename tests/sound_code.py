"""All correct code of this project, and what it is asked: what torch ships, what is bundled, styles of users."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Iterator
from pathlib import Path

from normcheck import expected
from normcheck.adapters.base import Bound, Subject
from normcheck.checks import ALL
from normcheck.checks.base import Check
from normcheck.claim import Implementation

HERE = Path(__file__).parent
ONE_CASE = math.inf
"""The cost of a question that is asked once, whatever the seed."""


def styles() -> list[Implementation]:
    """Every piece of tests/user_code/correct."""
    listed = json.loads((HERE / "user_code" / "correct.json").read_text())
    return [Implementation(one["kind"], str(HERE.parent / one["target"])) for one in listed]


def implementations() -> list[Implementation]:
    """What `pytest properties` checks by default, and the styles."""
    shipped: list[Implementation] = runpy.run_path(str(HERE.parent / "conftest.py"))[
        "pytest_normcheck_implementations"
    ]()
    return shipped + styles()


def questions(bound: Bound) -> Iterator[tuple[Bound, Check]]:
    """The checks that suit an implementation, with it as it is asked: what torch is known to get wrong is left out.

    Nor is asked what only the deepest effort asks: compiling takes seconds for each case.
    """
    for check in ALL:
        if not check.concerns(bound.entry) or check.least == "deep":
            continue
        known = expected.of(bound.name, check.name)
        one = bound if known is None or not isinstance(bound, Subject) else expected.without(bound, known)
        if not (check.lacks(one) or check.space.refuses(one)):
            yield one, check
