"""Faults of what a call leaves in its state, and of which state its output has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import CALLS, Answering, DefinedFault, right


def _updated(entry: DefinedNormalizer, case: DefinedCase) -> DefinedCase:
    """The case of the state after the call."""
    return case.but(arrays={**case.arrays, **right(entry, case).state})


def _with_state_of(other: Callable[[DefinedNormalizer, DefinedCase], DefinedCase]) -> Answering:
    """The right output, with the state that another case leaves."""
    return lambda entry, case: replace(right(entry, case), state=right(entry, other(entry, case)).state)


def _reversed_momentum(entry: DefinedNormalizer, case: DefinedCase) -> DefinedCase:
    return case.but(constants={**case.constants, "momentum": 1.0 - case.constants["momentum"]})


def _of_new_state(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    return replace(right(entry, _updated(entry, case)), state=right(entry, case).state)


def _twice(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
    return right(entry, _updated(entry, case))


def _keeping(place: int) -> Answering:
    """One of several parts of the state stays as it was."""

    def answer(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
        found, name = right(entry, case), _states(entry)[place]
        return replace(found, state={**found.state, name: case.arrays[name]})

    return answer


def _states(entry: DefinedNormalizer) -> tuple[str, ...]:
    return tuple(name for name in entry.parameters if name in entry.state)


def _kept(entry: DefinedNormalizer) -> bool:
    return entry.update is not None


def _several(entry: DefinedNormalizer) -> bool:
    return _kept(entry) and len(entry.state) > 1


def _blends(entry: DefinedNormalizer) -> bool:
    return _kept(entry) and "momentum" in entry.constants


ALL = (
    DefinedFault(name="defined-momentum-reversed", story="Takes the weight of the new batch for that of the old state.",
                 damages=CALLS, concerns=_blends, answer=_with_state_of(_reversed_momentum)),
    DefinedFault(name="defined-state-updated-twice", story="Updates its state twice in a call.", damages=CALLS,
                 concerns=_kept, answer=_with_state_of(_updated)),
    DefinedFault(name="defined-called-twice", story="Computes everything twice: the output is that of the second call.",
                 concerns=_kept, answer=_twice),
    DefinedFault(name="defined-output-of-new-state", story="Updates its state before it computes its output.",
                 concerns=_kept, answer=_of_new_state),
    DefinedFault(name="defined-first-state-not-updated", story="Leaves the first of several parts of its state.",
                 damages=CALLS, concerns=_several, answer=_keeping(0)),
    DefinedFault(name="defined-second-state-not-updated", story="Leaves the second of several parts of its state.",
                 damages=CALLS, concerns=_several, answer=_keeping(1)),
)  # fmt: skip
"""Faults of state."""
