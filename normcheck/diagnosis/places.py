"""Known faults in some sets of a case only: its last rows, those beyond a launch, the first case of a batch.

Where some sets are wrong and others right, faults of the formula are held against the wrong ones: a few are taken out
of the case, and the reference with a fault must return for them what the implementation returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.diagnosis.evidence import Evidence
from normcheck.diagnosis.experiments import Experiment, observations
from normcheck.diagnosis.hypotheses import Hypothesis
from normcheck.diagnosis.observation import Observation, agrees, deviates, wrong_sets
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer

FEW = 4
"""Sets that are taken out of a case, spread over all that are wrong."""

CASES = 3
"""Cases that are looked at, the smallest first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Excerpt:
    """A case of some wrong sets of another case, and what was observed there."""

    experiment: Experiment
    case: Case
    observation: Observation


def in_places(evidence: Evidence, known: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The faults that reproduce what is wrong in some sets; none where no case has wrong sets among right ones."""
    wrong = sorted((e for e in evidence.counted if e.wrong and e.question.case.use == PLAIN), key=lambda e: e.size)
    name = "y" if any(one.wrong and one.name == "y" for e in wrong for one in e.observations) else "dx"
    excerpts = [found for e in wrong for found in _excerpts(e, name)][:CASES]
    if not excerpts:
        return []
    formula = (h for h in known if not h.lasting and h.fault.where in ("forward", "backward"))
    found = [h for h in formula if all(_reproduces(h, one) for one in excerpts)]
    return [replace(h, somewhere=True) for h in [h for h in found if not h.variant] or found]


def _reproduces(hypothesis: Hypothesis, one: _Excerpt) -> bool:
    subject, question = one.experiment.subject, one.experiment.question
    call = hypothesis.subject(subject.normalizer, subject.contract).call
    try:
        answer = call(one.case, question.gradient)
    except (ArithmeticError, ValueError, IndexError):  # the fault has no meaning for so few sets
        return False
    prediction = getattr(answer, one.observation.name)
    return deviates(one.observation, prediction) and agrees(one.observation, prediction)


def _excerpts(experiment: Experiment, name: str) -> Iterator[_Excerpt]:
    """The wrong sets of one array of an answer, if others are right."""
    case, normalizer = experiment.question.case, experiment.subject.normalizer
    for one in experiment.observations:
        if one.name != name or one.observed.shape != case.x.shape or normalizer.sets.layout == "rows":
            continue
        sets = wrong_sets(one, one.observed)
        axis, blocks = _blocks(normalizer, case, sets)
        if not blocks.any() or blocks.all():
            continue
        bad = np.flatnonzero(blocks)
        chosen = bad[np.unique(np.linspace(0, len(bad) - 1, FEW).astype(int))]
        small = _taken(normalizer, case, axis, chosen)
        seen = np.take(_flat(normalizer, case, one.observed), chosen, axis=axis).reshape(small.x.shape)
        answer = Answer(y=seen, format=case.format.name, **({} if name == "y" else {name: seen}))
        yield from (
            _Excerpt(experiment, small, found)
            for found in observations(experiment.subject, replace(experiment.question, case=small), answer)
            if found.name == name and found.wrong
        )


def _blocks(normalizer: Normalizer, case: Case, sets: Array) -> tuple[int, Array]:
    """The axis along which sets can be taken out of a case, and which of its entries hold a wrong set."""
    if "case" in normalizer.sets.members:
        return 1, sets
    return 0, np.asarray(sets.reshape(_flat(normalizer, case, case.x).shape[0], -1).any(axis=1))


def _flat(normalizer: Normalizer, case: Case, array: Array) -> Array:
    """An array of the input's shape with one axis of sets, where it may have several."""
    trailing = normalizer.sets.layout == "trailing"
    return array.reshape(-1, *array.shape[array.ndim - case.normalized :]) if trailing else array


def _taken(normalizer: Normalizer, case: Case, axis: int, chosen: Array) -> Case:
    """The case with some entries of an axis of its input; of units, with their parameters and statistics."""

    def of(array: Array | None) -> Array | None:
        return None if array is None else np.take(_flat(normalizer, case, array), chosen, axis=axis)

    def own(array: Array | None) -> Array | None:
        return array if array is None or axis == 0 else array[chosen]

    x = of(case.x)
    assert x is not None, "a case has an input"
    return case.but(
        x=x, dy=of(case.dy), tangent=of(case.tangent), weight=own(case.weight), bias=own(case.bias),
        running_mean=own(case.running_mean), running_var=own(case.running_var), layouts={},
    )  # fmt: skip
