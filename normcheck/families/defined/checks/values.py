"""Output, gradients, state and dependencies against the forward that defines the normalizer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.defined import bounds
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.reference import answer, apart, other_entry
from normcheck.families.defined.space import DefinedDraw, DefinedSpace, defined_case
from normcheck.families.defined.subject import DefinedSubject

FORWARD = "the forward that defines the normalizer"
CHAIN = "the chain rule"


def near(subject: DefinedSubject, law: str, got: Array | None, expected: Array, off: Array) -> Comparison:
    """An array against its expected value and its bound; one that is missing is an infinite error."""
    got = np.full(expected.shape, np.nan) if got is None else got
    return differ(law, got, expected, subject.contract.bound_multiplier * off, bounds.resolved(off))


def same_output(subject: DefinedSubject, case: DefinedCase, law: str, got: DefinedAnswer) -> Comparison:
    """The output of a case against the forward."""
    expected, off = answer(subject.entry, case, graded=False), bounds.allowed(subject.entry, case, graded=False)
    return near(subject, law, got.y, expected.y, off.y)


def ask_output(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """The output against the forward in float64, within the running error of that forward on this very case."""
    return same_output(subject, case, subject.entry.formula or "y = forward(x)", subject.call(case, False))


def gradients(subject: DefinedSubject, case: DefinedCase, got: DefinedAnswer) -> Comparison:
    """The gradients of the input and of all trained parameters."""
    expected, off = answer(subject.entry, case).gradients, bounds.allowed(subject.entry, case).gradients
    names = [name for name in expected if name not in subject.domain.missing]
    return worst(*(near(subject, f"d{name}", got.gradients.get(name), expected[name], off[name]) for name in names))


def ask_gradient(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """The gradients of input and parameters against those of the forward."""
    return gradients(subject, case, subject.call(case, True))


def ask_state(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """What a call leaves in its state, against the update that belongs to the forward."""
    got, expected = subject.call(case, False).state, answer(subject.entry, case, graded=False).state
    off = bounds.allowed(subject.entry, case, graded=False).state
    return worst(
        *(near(subject, f"{name} after the call", got.get(name), expected[name], off[name]) for name in expected)
    )


def ask_dependencies(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """Which outputs move with one entry of the input: those of the forward, and no others."""
    moved, still = other_entry(case, int(case.drawn["seed"])), apart(subject.entry, case, int(case.drawn["seed"]))
    before, after = (bounds.allowed(subject.entry, one, graded=False).y for one in (case, moved))
    off = bounds.difference(before, after)
    allowed = subject.contract.bound_multiplier * off
    law = "an output that does not depend on an entry of the input does not move with it"
    return differ(law, subject.call(moved, False).y, subject.call(case, False).y, allowed, still & bounds.resolved(off))


def needs_gradient(subject: DefinedSubject) -> str:
    """Why gradients cannot be checked; empty if they can."""
    return "" if subject.domain.gradient else f"no gradient: {subject.domain.absent.get('gradient', '')}"


def needs_state(subject: DefinedSubject) -> str:
    """Why the state cannot be checked; empty if it can."""
    return "" if subject.domain.state else subject.domain.absent.get("state", "keeps no state")


def _updated(entry: DefinedNormalizer) -> bool:
    return entry.update is not None


@lru_cache(maxsize=512)
def local(entry: DefinedNormalizer) -> bool:
    """Whether some output of the forward does not depend on the first entry of the input."""
    return bool(np.any(apart(entry, defined_case(entry, DefinedDraw()), 0)))


OUTPUT = Check("defined-output", "y = forward(x)", FORWARD, ask_output, DefinedSpace(), cost=2.0)

GRADIENT = Check(
    "defined-gradient",
    "dx and the gradients of parameters are those of the forward",
    CHAIN,
    ask_gradient,
    DefinedSpace(),
    lacks=needs_gradient,
    cost=4.0,
)

CHECKS = (
    OUTPUT,
    GRADIENT,
    Check(
        "defined-state",
        "a call updates its state as the forward does",
        FORWARD,
        ask_state,
        DefinedSpace(values=("plain", "offset")),
        concerns=_updated,
        lacks=needs_state,
    ),
    Check(
        "defined-dependencies",
        "an output depends on those entries of the input on which the forward's does",
        "it needs no bound of values: what is compared is whether outputs move",
        ask_dependencies,
        DefinedSpace(values=("plain", "offset")),
        concerns=local,
        cost=4.0,
    ),
)
