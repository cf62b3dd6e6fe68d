"""Findings that an implementation inherits from torch's own function, which it calls."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from normcheck import families
from normcheck.core.ask import run_case
from normcheck.core.check import Check
from normcheck.core.claim import Implementation
from normcheck.core.result import Outcome
from normcheck.engine.replays import draw_of
from normcheck.frameworks import known_bugs
from normcheck.frameworks.known_bugs import KnownBug

ARRAYS = ("y", "dx", "dweight", "dbias")
"""The arrays of two answers that are compared."""


def torch_bug(subject: Any, check: Check) -> KnownBug | None:
    """The bug of torch's own function of that kind that a check finds."""
    return known_bugs.of(families.of(subject.entry).counterpart(subject.entry), check.name)


def inherited_bug(subject: Any, check: Check, outcome: Outcome) -> KnownBug | None:
    """The bug of torch's own function, if that returns bit for bit the same on the case of a finding."""
    bug = torch_bug(subject, check)
    if bug is None or outcome.finding is None or not _may_call_torch(subject):
        return None
    target = families.of(subject.entry).counterpart(subject.entry)
    draw = draw_of(check, subject, outcome.finding)
    mine, own = (_answers(one, check, draw) for one in (subject, _bound(subject.entry.name, target)))
    same = len(mine) == len(own) and all(_alike(a, b) for a, b in zip(mine, own, strict=True))
    return bug if mine and same else None


def _may_call_torch(subject: Any) -> bool:
    """Whether torch is installed, and the code is not known to be of another framework, which inherits nothing."""
    language = getattr(subject.domain, "language", None)
    return find_spec("torch") is not None and (language is None or language.framework == "torch")


@lru_cache(maxsize=8)
def _bound(kind: str, target: str) -> Any:
    return families.bind(Implementation(kind, target))


def _answers(subject: Any, check: Check, draw: Any) -> list[Any]:
    """What the calls of a check return; None for one that raises."""
    seen: list[Any] = []

    def call(case: Any, gradient: bool) -> Any:
        seen.append(None)
        seen[-1] = answer = subject.call(case, gradient)
        return answer

    run_case(replace(subject, call=call), check, draw)
    return seen


def _alike(one: Any, other: Any) -> bool:
    """Whether two answers are the same bit for bit, or both calls raised."""
    if one is None or other is None:
        return one is other
    return all(_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.array_equal(one, other, equal_nan=True))
