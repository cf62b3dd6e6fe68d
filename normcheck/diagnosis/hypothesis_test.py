"""One hypothesis held against experiments: whether its fault, applied to the reference, gives the same answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.kept import keeping
from normcheck.core.uses import PLAIN
from normcheck.diagnosis.evidence import Evidence
from normcheck.diagnosis.experiments import Experiment, Question, answered
from normcheck.diagnosis.hypotheses import Hypothesis
from normcheck.diagnosis.observation import ARRAYS, Kind, Observation, agrees, deviates, excused, same_sets, unlike
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.forms import ways
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer, Call

ANSWERS = 8192
"""Answers of faults that are kept for the next diagnosis: some hundreds to each question."""

OUTPUT = 0.4
"""The share of an answer that its output costs."""

PLACE, AFTER = 1.0, 2.0
"""The result of a hypothesis that is wrong in the same place, with other numbers; of what follows from an error."""

PLAIN_OUTPUT = ("y", PLAIN)
"""The kind of an observation of the output of a plain training call."""

CAUSES = ({"y"}, {"dx", "dweight", "dbias", "running_mean", "running_var"}, {"jv", "ddx"})
"""Arrays, those first from which the others follow."""


class HypothesisTest:
    """One hypothesis held against experiments.

    Its result for an observation is None if the hypothesis contradicts it, else how unlike the two are: 0 if it is
    reproduced, 1 if the place of the error is right, 2 if the error follows from another, and powers of two between
    the sizes of rounding noise.
    """

    def __init__(self, hypothesis: Hypothesis, evidence: Evidence) -> None:
        self.hypothesis, self.evidence = hypothesis, evidence
        # at a shape that a project names many faults are wrong in all sets: only one with these very values is named
        rare = evidence.standard_right and not evidence.of_input_shapes
        place = hypothesis.fault.where == "use" or (rare and hypothesis.fault.where != "mode")
        self.by_place = place and hypothesis.when is None  # a condition is particular enough: its values are compared
        self.results: dict[Experiment, list[float | None]] = {}
        self.asked: set[Experiment] = set()
        self.touched: set[Kind] = set()  # kinds of observations that it makes wrong

    @cached_property
    def call(self) -> Call:
        """Calls the reference with the fault; it keeps what lasts from call to call."""
        subject = self.evidence.subject
        return self.hypothesis.subject(subject.normalizer, subject.contract).call

    def on(self, experiment: Experiment, *, forward: bool = False) -> list[float | None]:
        """Its results for the observations of an experiment; forward: for the output alone."""
        if experiment in self.results:
            return self.results[experiment]
        some = [one for one in experiment.observations if not forward or one.name == "y"]
        found = self._results(experiment, some, self._asked(experiment, forward=forward))
        if not forward:
            self.results[experiment] = found
        return found

    def _asked(self, experiment: Experiment, *, forward: bool = False) -> Answer | None:
        """Its answer to the question of an experiment, which counts once."""
        question = replace(experiment.question, gradient=False) if forward else experiment.question
        if experiment not in self.asked:
            self.evidence.budget.spend(OUTPUT if forward else 1.0, question)
        if not forward:
            self.asked.add(experiment)
        return self._answer(question)

    def _answer(self, question: Question) -> Answer | None:
        """Its answer; None to a question for which the fault has no meaning."""
        if self.hypothesis.parts or self.hypothesis.lasting or self.hypothesis.when is not None:
            return answered(self.call, question)
        subject = self.evidence.subject
        return _kept_answer(
            subject.normalizer, subject.contract, self.hypothesis.fault, question.case, question.gradient
        )[0]

    def _results(self, experiment: Experiment, some: Sequence[Observation], got: Answer | None) -> list[float | None]:
        """Its results; of a large question no more than the first contradiction, for time's sake.

        Of ways of calling, and where all standard answers are right, the place of an error is what is explained: the
        error may be any there; but where code of a form must return something, that is compared.
        """
        in_form = experiment.question.case.use in ways(self.evidence.subject.contract.form)
        by_place = bool(experiment.question.from_check) and self.by_place
        found: dict[str, float | None] = {}
        for one in sorted(some, key=lambda one: not one.wrong):
            anywhere = by_place and not (in_form and np.any(one.expected))
            found[one.name] = None if got is None else self._result(experiment, one, got, by_place=anywhere)
            if found[one.name] is None and experiment.large and not by_place:
                break
        if by_place:
            found |= _following(some, found)
        return [found.get(one.name) for one in some]

    def _result(self, experiment: Experiment, one: Observation, got: Answer, *, by_place: bool) -> float | None:
        prediction = getattr(got, one.name)
        off = deviates(one, prediction)
        if off:
            self.touched.add(one.kind)
        if agrees(one, prediction):
            return 0.0
        noisy = self.hypothesis.noisy
        if noisy and excused(one, prediction):
            return PLACE
        if off and one.wrong and one.name in ARRAYS and by_place:
            narrow = experiment.question.case.format.narrow  # where it depends on rounding which sets are off
            if narrow or self.hypothesis.fault.where == "use" or same_sets(one, prediction):
                return PLACE
            return None
        return self._noise(experiment, one, prediction) if noisy and off and one.wrong else None

    def _noise(self, experiment: Experiment, one: Observation, prediction: Any) -> float | None:
        """How unlike two errors are that are rounding noise."""
        moved, right = self._answer(experiment.nudged), experiment.right_when_nudged
        if moved is None or right is None:
            return None
        return unlike(one, prediction, getattr(moved, one.name), getattr(right, one.name))

    def pairs(self, some: Iterable[Experiment]) -> Iterator[tuple[Observation, float | None]]:
        """Every observation of some experiments with its result, experiment by experiment."""
        return ((one, result) for e in some for one, result in zip(e.observations, self.on(e), strict=True))

    def holds(self, some: Iterable[Experiment]) -> bool:
        """Whether it contradicts no observation. The first contradiction ends it: most hypotheses have many."""
        return not any(map(self._contradicted, some))

    def _contradicted(self, experiment: Experiment) -> bool:
        if experiment not in self.results and not (experiment.question.from_check and self.by_place):
            got = self._asked(experiment)
            in_order = sorted(experiment.observations, key=lambda one: not one.wrong)
            if got is None or any(self._result(experiment, one, got, by_place=False) is None for one in in_order):
                return True
        return None in self.on(experiment)

    def explains_output(self, some: Iterable[Experiment]) -> bool:
        """Whether it contradicts no output of a plain training call."""
        return all(result is not None for one, result in self.pairs(some) if one.kind == PLAIN_OUTPUT)

    def share(self, some: Iterable[Experiment], *, placed: bool = True) -> float:
        """Of what is wrong, how much it explains, less the share of right observations that it makes wrong.

        placed: whether what is explained by its place alone counts, and what follows from it; a way of calling is
        nothing but a place.
        """
        pairs, placed = list(self.pairs(some)), placed or self.hypothesis.fault.where == "use"
        wrong = [result is not None and (placed or result not in (PLACE, AFTER)) for one, result in pairs if one.wrong]
        right = [result is not None for one, result in pairs if not one.wrong]
        explained = sum(wrong) / max(len(wrong), 1)
        return explained - (1.0 - sum(right) / len(right) if right else 0.0)

    def rank(self) -> tuple[float, ...]:
        """A key to sort by, the likeliest first.

        Reproduced before alike in size, more of what is seen before less, the catalog's fault before its variants.
        """
        unlike = sum(result or 0.0 for _, result in self.pairs(self.evidence.counted))
        share = round(self.share(self.evidence.experiments), 2)
        return round(unlike, 1), -share, len(self.touched), self.hypothesis.variant

    def name(self) -> str:
        """One name, or two with a plus between, first the one that explains more by itself."""
        shares = [
            (-HypothesisTest(part, self.evidence).share(self.evidence.counted), part.names[0])
            for part in self.hypothesis.parts
        ]
        return "+".join(name for _, name in sorted(shares)) or self.hypothesis.names[0]


@partial(keeping, results=ANSWERS)
def _kept_answer(
    normalizer: Normalizer, contract: Contract, fault: Fault, case: Case, gradient: bool
) -> tuple[Answer | None]:
    """The answer of one fault to a question, which is the same in every diagnosis."""
    return (answered(faults.subject(normalizer, fault, contract).call, Question(case, gradient)),)


def _following(some: Sequence[Observation], found: Mapping[str, float | None]) -> dict[str, float | None]:
    """Results for wrong arrays that the hypothesis leaves right, beside or after one that it explains."""
    explained = [n for n, names in enumerate(CAUSES) for one in some if one.wrong and one.name in names
                 and found.get(one.name) is not None]  # fmt: skip
    after = {name for n, names in enumerate(CAUSES) if explained and n >= min(explained) for name in names}
    return {one.name: AFTER for one in some if one.wrong and one.name in after and found.get(one.name) is None}
