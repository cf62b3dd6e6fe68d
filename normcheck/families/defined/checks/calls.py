"""What a call does beside its result, in other layouts of memory, and after another call."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.result import Comparison, worst
from normcheck.families.defined.case import COTANGENT, DefinedCase
from normcheck.families.defined.checks.values import gradients, same_output
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.space import DefinedSpace
from normcheck.families.defined.subject import ORDERS, DefinedSubject

TORCH = "torch's functions"


def ask_arguments(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """A call leaves its input and its parameters as they are, and its backward the cotangent."""
    got = subject.call(case, subject.domain.gradient)
    changed = [name for name in got.changed if name not in subject.entry.state]
    given = _unchanged("a call leaves its arguments as they are", [name for name in changed if name != COTANGENT])
    return worst(given, _unchanged("a backward leaves its cotangent as it is", [n for n in changed if n == COTANGENT]))


def _unchanged(law: str, changed: list[str]) -> Comparison:
    wrong = np.array([float(len(changed))])
    return differ(law, wrong, np.zeros(1), np.zeros(1), detail=f"changed: {', '.join(changed)}" if changed else "")


def ask_layout(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """The answer does not depend on the layout in memory of the input."""
    got = subject.call(case, subject.domain.gradient)
    found = same_output(subject, case, f"y = forward(x) of a {case.order} input", got)
    return worst(found, gradients(subject, case, got)) if subject.domain.gradient else found


def _other(case: DefinedCase) -> DefinedCase:
    """A case of the same shape with other numbers."""
    return case.but(x=case.format.round(np.flip(case.x, 0) * -1.5 + 0.25))


def ask_second_call(subject: DefinedSubject, case: DefinedCase) -> Comparison:
    """A second call of the same layer, on other numbers, has the answer to these, and leaves that of the first."""
    other = _other(case)
    first, second = subject.successive((case, other))
    return worst(
        same_output(subject, other, "y = forward(x) in the second call", second),
        same_output(subject, case, "y of the first call is the same after the second", first),
    )


def stateless(entry: DefinedNormalizer) -> bool:
    """Whether a call leaves nothing that a later one reads."""
    return entry.update is None


def strided(subject: DefinedSubject) -> str:
    """Why other layouts cannot be checked; empty if one is taken."""
    return "" if subject.domain.orders else subject.domain.absent.get("layouts", "takes contiguous arrays only")


_PLAIN = DefinedSpace(values=("plain", "mixed"), cases=(6,))

CHECKS = (
    Check("defined-arguments", "a call leaves its arguments as they are", TORCH, ask_arguments, _PLAIN),
    Check("defined-layout", "the answer does not depend on the layout in memory", TORCH, ask_layout,
          DefinedSpace(values=("plain",), cases=(6,), order=ORDERS), lacks=strided),
    Check("defined-second-call", "a call does not depend on the calls before it", TORCH, ask_second_call, _PLAIN,
          concerns=stateless),
)  # fmt: skip
