"""Several hypotheses that explain what was seen: the implementation is called on cases on which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from normcheck.core.space import Pick
from normcheck.diagnosis.experiments import Question, experiments, observations
from normcheck.diagnosis.hypothesis_test import HypothesisTest
from normcheck.diagnosis.observation import agrees
from normcheck.normalizers.sampling.recipes import state, values
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

TRIED, CALLED = 24, 4
"""Random cases that are tried, and those of them on which the implementation is called, at most."""


def separate_rivals(subject: Subject, rivals: list[HypothesisTest]) -> list[HypothesisTest]:
    """Those of several that still hold on cases on which they differ; all of them where none holds."""
    rng = np.random.default_rng(5)
    pick: Pick = lambda options: options[int(rng.integers(len(options)))]  # a value of type Pick
    called = 0
    for tried in range(TRIED):
        if len(rivals) < 2 or called >= CALLED:
            break
        draw = NormalizerSpace(values).sample(subject, pick)
        recipe = values
        if tried % 3 == 2 and (subject.domain.state or subject.domain.evaluation):
            recipe = partial(state, training=subject.domain.state and tried % 2 == 0)
        question = Question(recipe(subject.normalizer, draw))
        answers = [question.answer(test.call) for test in rivals]
        if _differ(subject, question, answers):
            called += 1
            found = list(experiments(subject, [question]))
            rivals = [test for test in rivals if test.holds(found)] or rivals
    return rivals


def _differ(subject: Subject, question: Question, answers: Sequence[Answer | None]) -> bool:
    """Whether all answer a question, and some answers differ by more than rounding may."""
    given = [answer for answer in answers if answer is not None]
    return len(given) == len(answers) and any(
        not agrees(one, getattr(other, one.name))
        for other in given[1:]
        for one in observations(subject, question, given[0])
    )
