"""Faults of one trained parameter, or of the input: it is ignored, or has no gradient."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import BACKWARD, Answering, DefinedFault, right
from normcheck.families.defined.reference import output
from normcheck.families.defined.space import DefinedDraw, defined_case

ORDINALS = ("first", "second", "third", "fourth")
"""Parameters of which one is ignored, or has no gradient, by their place in the forward."""


@lru_cache(maxsize=512)
def neutral(entry: DefinedNormalizer, name: str) -> float:
    """The value of a parameter that is not there: 0 if the output grows by as much as the parameter does, else 1."""
    case = defined_case(entry, DefinedDraw(seed=1))
    zero = np.zeros(case.arrays[name].shape)
    y0, y1, y2 = (output(entry, case.but(arrays={**case.arrays, name: zero + value})) for value in (0.0, 1.0, 2.0))
    return 0.0 if np.allclose(y1 - y0, 1.0) and np.allclose(y2 - y1, 1.0) else 1.0


def ignoring(place: int) -> Answering:
    """A trained parameter has its neutral value, and no gradient."""

    def answer(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
        name = entry.trained[place]
        value = np.full(case.arrays[name].shape, neutral(entry, name))
        found = right(entry, case.but(arrays={**case.arrays, name: value}))
        return _zeroed(found, name)

    return answer


def _zeroed(found: DefinedAnswer, name: str) -> DefinedAnswer:
    """The answer with zeros for one gradient, if it has gradients."""
    zeros = {name: np.zeros(found.gradients[name].shape)} if name in found.gradients else {}
    return replace(found, gradients={**found.gradients, **zeros})


def _without(entry: DefinedNormalizer, case: DefinedCase, name: str) -> DefinedAnswer:
    return _zeroed(right(entry, case), name)


def ungraded(place: int) -> Answering:
    """A trained parameter has no gradient."""
    return lambda entry, case: _without(entry, case, entry.trained[place])


def _ignored(place: int) -> DefinedFault:
    word = ORDINALS[place]
    return DefinedFault(
        name=f"defined-{word}-parameter-ignored",
        story=f"Takes 0 for the {word} parameter if it is added, else 1.",
        concerns=lambda entry: len(entry.trained) > place + 1,  # the last one has a fault of its own
        answer=ignoring(place),
    )


def _ungraded(place: int) -> DefinedFault:
    word = ORDINALS[place]
    return DefinedFault(
        name=f"defined-{word}-parameter-without-gradient",
        story=f"Gives no gradient to the {word} parameter.",
        damages=BACKWARD,
        concerns=lambda entry: len(entry.trained) > place,
        answer=ungraded(place),
    )


def _has_trained(entry: DefinedNormalizer) -> bool:
    return bool(entry.trained)


ALL = (
    DefinedFault(name="defined-parameter-ignored", story="Takes 0 for the last parameter if it is added, else 1.",
                 concerns=_has_trained, answer=ignoring(-1)),
    *(_ignored(place) for place in range(len(ORDINALS) - 1)),
    DefinedFault(name="defined-parameter-without-gradient", story="Gives no gradient to the first parameter.",
                 damages=BACKWARD, concerns=_has_trained, answer=ungraded(0)),
    *(_ungraded(place) for place in range(1, len(ORDINALS))),
    DefinedFault(name="defined-input-without-gradient", story="Gives no gradient to the input.", damages=BACKWARD,
                 answer=lambda entry, case: _without(entry, case, "x")),
)  # fmt: skip
"""Faults of parameters."""
