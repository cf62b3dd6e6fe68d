"""What is right under a weaker contract than the default: a warning, not a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import CheckWarning
from normcheck.families.defined.subject import DefinedSubject
from normcheck.normalizers.faults.conventions import WEAKER

_KEY = ("eps-format", "default", FLOAT32.name)

EPS_IN_FLOAT32 = {_KEY: WEAKER[_KEY]}
"""Key, claimed and observed value of the convention in which a defined normalizer may be weaker, with its warning."""


def weaker(subject: DefinedSubject, check: Check, draw: Any) -> Iterator[tuple[CheckWarning, DefinedSubject]]:
    """The warning of an eps that is held in float32, with the subject under that contract, where a case is right so.

    draw: of that case, which fails.
    """
    contract = subject.contract
    if draw.format != FLOAT64.name or subject.entry.eps is None or contract.eps_format != _KEY[1]:
        return
    lower = replace(subject, contract=replace(contract, eps_format=FLOAT32.name))
    if not check.lacks(lower) and run_check(lower, check, [check.space.adapt(lower, draw)]).finding is None:
        yield EPS_IN_FLOAT32[_KEY], lower
