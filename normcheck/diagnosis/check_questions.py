"""The questions of a check that failed, recorded while it runs again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from normcheck.core.ask import draws, run_case
from normcheck.core.check import Check
from normcheck.core.foreign_code import quiet
from normcheck.diagnosis.experiments import Experiment, Question, experiments
from normcheck.normalizers import forms
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Subject

MANY = 50
"""A check that repeats a call more often than this looks for what changes from call to call."""

EXAMPLES, DRAWS = 48, 24
"""Explicit examples and random draws on which a check runs again: a width that is always tried is among the last."""

ENTRIES = 2_000_000
"""Entries of all inputs after which no further case is sought that breaks the law of a check."""

REPEATED = 40
"""Questions that differ from another in their numbers alone."""


def particular(subject: Subject, check: Check) -> bool:
    """Whether a check needs a layout, a way of calling, several calls of one layer, or what a call changes."""
    less = replace(subject.domain, layouts=(), uses=(), watched=False, operations=())
    return bool(check.lacks(replace(subject, domain=less, transformed=None))) or check.cost > MANY


def check_experiments(
    subject: Subject, check: Check, found: Sequence[Any] = (), *, wrong_only: bool, most_wrong: int
) -> list[Experiment]:
    """The questions of a check, each way of calling early, and those with several layouts with each layout by itself.

    found: draws on which the law does not hold, as far as they are known. wrong_only: right answers are left out.
    most_wrong: so many wrong answers are enough.
    """
    ordered = _each_way_early(_recorded(subject, check, found))
    seen = list(experiments(subject, ordered, wrong_only=wrong_only, most_wrong=most_wrong))
    return seen + list(experiments(subject, _one_layout_each(seen)))


def _recorded(subject: Subject, check: Check, found: Sequence[Any]) -> list[Question]:
    """The questions of a check on the first case that breaks its law, or on the last that was tried."""
    calls: list[tuple[Case, bool]] = []

    def recording(case: Case, gradient: bool) -> Answer:
        calls.append((case, gradient))
        return subject.call(case, gradient)

    listener = replace(subject, call=recording)
    entries = 0
    examples = islice(check.space.explicit_examples(subject), EXAMPLES)
    for draw in chain(found, examples, draws(subject, check, DRAWS, seed=1)):
        calls.clear()
        with quiet():
            case, comparison = run_case(listener, check, draw)
        entries += case.x.size
        if not comparison.holds or entries > ENTRIES:
            break
    warned_of = forms.BESIDE_PADDING if subject.contract.empty == "default" else ""  # what is wrong there is a warning
    return [Question(case, gradient, check.name) for case, gradient in calls if case.use != warned_of]


def _each_way_early(questions: Sequence[Question]) -> Iterator[Question]:
    """One question for each way of calling, layout and shape first, then some of the others."""
    seen: set[tuple[str, str, tuple[int, ...]]] = set()
    again = []
    for question in questions:
        case = question.case
        way = (case.use, str(sorted(case.layouts.items())), case.x.shape)
        if way in seen:
            again.append(question)
        else:
            seen.add(way)
            yield question
    yield from again[:REPEATED]


def _one_layout_each(found: Iterable[Experiment]) -> Iterator[Question]:
    """Of the first wrong answer to arrays with several layouts: the same question with one of the layouts each."""
    for one in found:
        case = one.question.case
        laid = {role: name for role, name in case.layouts.items() if name != "contiguous"}
        if len(laid) > 1 and one.wrong:
            for role, name in laid.items():
                yield replace(one.question, case=case.but(layouts={role: name}))
            return
