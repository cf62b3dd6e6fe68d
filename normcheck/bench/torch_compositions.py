"""The plain baselines: the composition of a normalizer of torch's basic operators, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from normcheck.core.contract import Contract
from normcheck.frameworks.torch.composition import Composition, compose, prepared
from normcheck.frameworks.torch.uses import make
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.cast_order import AFTER
from normcheck.normalizers.subject import Subject

ROUNDED_LAST = Contract(cast=AFTER)
"""The order of torch's own functions, and the one that `torch.compile` makes a single kernel of."""


@dataclass(slots=True)
class _LatestCompilation:
    """The compiled composition of the latest shape: torch keeps compiled code of one function for a few shapes only."""

    key: Any = None
    function: Composition | None = None

    def of(self, found: Subject, case: Case) -> Composition:
        key = (found.normalizer.name, case.x.shape, case.format.name, case.groups, case.normalized, case.dim, case.part)
        if self.function is None or key != self.key:
            torch.compiler.reset()
            self.key, self.function = key, torch.compile(compose(found.normalizer, case, ROUNDED_LAST), dynamic=False)
        return self.function


def _subject(found: Subject, name: str, forward: Callable[[Case], Composition]) -> Subject:
    call = make(lambda case: prepared(name, case, forward(case)))
    return replace(found, name=name, call=call, live=None, transformed=None)


def eager(found: Subject, name: str) -> Subject:
    """The composition of a subject's normalizer as a subject of that name."""
    return _subject(found, name, lambda case: compose(found.normalizer, case, ROUNDED_LAST))


def compiled(found: Subject, name: str) -> Subject:
    """The same through `torch.compile`."""
    latest = _LatestCompilation()
    return _subject(found, name, lambda case: latest.of(found, case))
