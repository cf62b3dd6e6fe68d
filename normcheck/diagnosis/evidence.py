"""All that is known of a faulty implementation: standard cases, questions of the checks that failed, call traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import ceil
from typing import Any

from normcheck.core.check import Check
from normcheck.core.uses import SLOW
from normcheck.diagnosis.call_traces import Trace, call_traces
from normcheck.diagnosis.changes import Changes, changes
from normcheck.diagnosis.check_questions import check_experiments, particular
from normcheck.diagnosis.experiments import Experiment, Question, experiments
from normcheck.diagnosis.observation import Kind
from normcheck.diagnosis.standard_cases import standard_cases
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call, Subject

ANSWERS = 3000.0
"""A diagnosis ends after as many answers of hypotheses to small questions, with what it has: below 3 s on one core.

Not a time: what is found may not depend on what else the machine does."""

SMALL = 4_000
"""Entries of an input that cost as much again as the question itself."""


@dataclass(slots=True)
class AnswerBudget:
    """Answers that hypotheses gave, counted in answers to a small question."""

    spent: float = 0.0

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is asked."""
        return self.spent > ANSWERS

    def spend(self, answers: float, question: Question) -> None:
        """Count answers to a question."""
        self.spent += answers * _cost(question)

    def affords(self, answers: float, question: Question) -> int:
        """How often so many answers to a question can be counted until it is exhausted."""
        return max(0, ceil((ANSWERS - self.spent) / (answers * _cost(question))))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Experiments and call traces of one implementation."""

    subject: Subject
    experiments: tuple[Experiment, ...]
    traces: tuple[Trace, ...] = ()
    changes: Changes | None = None  # from call to call
    of_input_shapes: bool = False  # whether all that failed is of input shapes that the contract names
    budget: AnswerBudget = field(default_factory=AnswerBudget)  # of all hypotheses together

    @property
    def wrong(self) -> bool:
        """Whether any answer is wrong."""
        return _any_wrong(self.experiments)

    @cached_property
    def standard(self) -> list[Experiment]:
        """Experiments on standard cases."""
        return [e for e in self.experiments if not e.question.from_check]

    @cached_property
    def of_checks(self) -> list[Experiment]:
        """Experiments on questions that were recorded from checks."""
        return [e for e in self.experiments if e.question.from_check]

    @cached_property
    def standard_right(self) -> bool:
        """Whether the answers to all standard cases are right."""
        return not _any_wrong(self.standard)

    @cached_property
    def counted(self) -> list[Experiment]:
        """What a hypothesis must explain: questions of checks, and of standard cases the plainest that are wrong.

        Those without rounding first, then those outside narrow formats: where both are wrong, plain code that keeps
        its statistics in a narrow format adds errors of its own there, which are no part of the fault.
        """
        wide = [e for e in self.standard if e.question.wide]
        broad = [e for e in self.standard if not e.question.case.format.narrow]
        some = next((one for one in (wide, broad) if _any_wrong(one)), self.standard)
        return [*some, *self.of_checks]

    @cached_property
    def screen(self) -> list[Experiment]:
        """A few experiments with everything wrong that is wrong anywhere, and one with nothing; small ones first.

        A hypothesis that a small question contradicts is not tested on a large one.
        """
        seen: set[Kind] = set()
        out = []
        plain = [e for e in self.counted if not e.question.from_check]
        by_size = sorted(plain if _any_wrong(plain) else self.counted, key=_size)
        most_wrong = sorted(by_size, key=lambda e: -sum(one.wrong for one in e.observations))
        for e in by_size if most_wrong and most_wrong[0].large else most_wrong:
            new = {one.kind for one in e.observations if one.wrong} - seen
            if new:
                out.append(e)
                seen |= new
        return sorted(out + [e for e in by_size if not e.wrong][:1], key=_size)

    @cached_property
    def in_order(self) -> list[Experiment]:
        """The counted experiments in the order in which hypotheses are tested on them: the screen, then the rest."""
        return [*self.screen, *sorted((e for e in self.counted if e not in self.screen), key=_size)]


@lru_cache(maxsize=4)
def of_standard_cases(subject: Subject) -> Evidence:
    """Ask the standard cases, and whether answers change from call to call. Computed once for a subject."""
    subject = replace(subject, call=_compiled_once(subject.call))
    found = tuple(experiments(subject, standard_cases(subject)))
    return Evidence(subject, found, changes=changes(subject, found[0].question) if found else None)


def of_checks(subject: Subject, failed: Sequence[tuple[Check, Sequence[Any]]]) -> Evidence:
    """The standard cases, and what the failed checks ask, as far as they may show more.

    failed: each with the draws of its finding.
    """
    standard = of_standard_cases(subject)
    subject, found, wrong = standard.subject, list(standard.experiments), standard.wrong
    traces: list[Trace] = []
    for check, draws in [one for one in failed if not wrong or particular(subject, one[0])][: 3 if wrong else 6]:
        new = call_traces(subject, check)
        traces += new
        if not new:
            found += check_experiments(subject, check, draws, wrong_only=wrong, most_wrong=8 if wrong else 12)
    shapes = [draw.input_shape for _, draws in failed for draw in draws]
    return Evidence(subject, tuple(found), tuple(traces), of_input_shapes=bool(shapes) and all(shapes))


def _cost(question: Question) -> float:
    return 1.0 + question.size / SMALL


def _any_wrong(some: Iterable[Experiment]) -> bool:
    return any(one.wrong for one in some)


def _size(one: Experiment) -> int:
    return one.size


def _compiled_once(call: Call) -> Call:
    """The same call, which keeps the answers under a compiler: it takes seconds to compile."""
    known: list[tuple[Case, bool, Answer]] = []

    def remembering(case: Case, gradient: bool) -> Answer:
        if case.use not in SLOW:
            return call(case, gradient)
        for before, with_gradient, got in known:
            if before is case and with_gradient == gradient:
                return got
        got = call(case, gradient)
        known.append((case, gradient, got))
        return got

    return remembering
