"""What a fault of a defined normalizer is, and the ways in which one changes the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from normcheck.core.floats import FLOAT64
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.reference import answer, answered, traced
from normcheck.families.defined.tracing.arithmetic import Arithmetic, arithmetic_of

SLIP = "construction: a slip that the formula invites"
OUTPUT = "the output, and the gradients through it"
BACKWARD = "gradients alone: every output is right"
CALLS = "what surrounds the call"

Answering = Callable[[DefinedNormalizer, DefinedCase], DefinedAnswer]
Later = Callable[[DefinedNormalizer, DefinedCase, DefinedCase], DefinedAnswer]
"""The answer of a later call, from the entry, its case and that of the first call."""


def _every(entry: DefinedNormalizer) -> bool:
    return True


def right(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    """The right answer."""
    return answer(entry, case.but(graded=True), graded=case.graded)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedFault:
    """One known way to be wrong: another answer, or another one after or before another call."""

    name: str
    story: str
    source: str = SLIP
    damages: str = OUTPUT
    concerns: Callable[[DefinedNormalizer], bool] = _every
    answer: Answering = right
    later: Later | None = None  # None: the same answer in every call
    earlier: Later | None = None  # the answer of the first call, read after that of a later one
    noisy: bool = False  # its errors are rounding noise: where they are is known, and not their digits
    suspected: Callable[[DefinedNormalizer], bool] | None = None  # a fast test before concerns


def by_slip(slip: Slip) -> Answering:
    """The answer of a wrong forward, or of a wrong update of the state."""
    by = arithmetic_of(FLOAT64)

    def answer(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
        mistaken = entry if slip.update is None else replace(entry, update=slip.update)
        return answered(traced(mistaken, slip.forward, case, by, graded=case.graded), case)

    return answer


def in_arithmetic(by: Arithmetic) -> Answering:
    """The answer of the entry's own forward in another arithmetic."""
    return lambda entry, case: answered(traced(entry, entry.forward, case, by, graded=case.graded), case)


def of_slip(entry: DefinedNormalizer, slip: Slip) -> DefinedFault:
    """A slip of one normalizer as a fault."""
    return DefinedFault(name=slip.name, story=slip.story, concerns=lambda one: one is entry, answer=by_slip(slip))
