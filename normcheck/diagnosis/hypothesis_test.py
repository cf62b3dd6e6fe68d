"""One hypothesis before the evidence: what the implementation answered, and whether a fault answers the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import numpy as np

from normcheck.core.ask import draws, run_case
from normcheck.core.foreign_code import quiet
from normcheck.core.uses import COMPILED, EXPORTED
from normcheck.diagnosis.call_traces import Trace, call_traces
from normcheck.diagnosis.evidence import (
    ARRAYS,
    Observation,
    Question,
    agrees,
    answer,
    deviates,
    excused,
    items,
    nudged,
    unlike,
)
from normcheck.diagnosis.hypotheses import Hypothesis
from normcheck.diagnosis.standard_cases import standard_cases
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks import CHECKS_BY_NAME
from normcheck.normalizers.subject import Answer, Call, Subject

MANY = 50
"""A check that asks the same more often than this looks for what changes from call to call."""

LARGE = 50_000
"""Entries of an input of which one wrong answer must do."""

SMALL = 4_000
"""Entries of an input that cost as much again as the question itself."""

LOOKING = 2_000_000
"""Entries of the inputs on which a check is asked again for a case that breaks its law."""

Kind = tuple[str, str]
"""What is asked, and how."""


@dataclass(eq=False)
class Evidence:
    """Questions, and what the implementation answered to them, item by item."""

    subject: Subject
    questions: list[Question] = field(default_factory=list)
    items: list[list[Observation]] = field(default_factory=list)
    moved: dict[int, Answer | None] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)
    unsteady: frozenset[str] = frozenset()
    sound: bool = False  # every ordinary question is answered rightly
    breaks: int = 0  # the call on the same content from which on it is wrong, if that was looked for
    spent: float = 0.0  # answers that hypotheses gave, in those to a small question

    def ask(self, some: Iterable[Question], *, wrong_only: bool = False, wrong: int = LARGE) -> None:
        """Ask some questions, until so many are answered wrongly."""
        for question in some:
            if not wrong:
                break
            got = answer(self.subject.call, question)
            if got is None:
                continue
            found = list(items(self.subject, question, got))
            if wrong_only and not any(item.wrong for item in found):
                continue
            self.questions.append(question)
            self.items.append(found)
            if any(item.wrong for item in found):
                wrong = 0 if question.case.x.size > LARGE else wrong - 1

    def wrong(self, among: Iterable[int]) -> bool:
        return any(item.wrong for q in among for item in self.items[q])

    def right(self, q: int) -> Answer | None:
        """The right answer to a question whose input is moved a hair."""
        if q not in self.moved:
            right = faults.subject(self.subject.normalizer, contract=self.subject.contract)
            self.moved[q] = answer(right.call, nudged(self.questions[q]))
        return self.moved[q]


class HypothesisTest:
    """One hypothesis before the evidence. None: it contradicts an item; else how unlike it is, 0 for not at all."""

    def __init__(self, hypothesis: Hypothesis, evidence: Evidence) -> None:
        self.hypothesis, self.evidence = hypothesis, evidence
        self.call: Call = faults.subject(evidence.subject.normalizer, hypothesis.fault, evidence.subject.contract).call
        self.seen: dict[int, list[float | None]] = {}
        self.touched: set[Kind] = set()

    def on(self, q: int, *, forward: bool = False) -> list[float | None]:
        """What it says of each item of a question; forward: of the output alone."""
        if q not in self.seen:
            question = self.evidence.questions[q]
            if forward:
                question = replace(question, gradient=False)
            self.evidence.spent += (0.4 if forward else 1.0) * (1.0 + question.case.x.size / SMALL)
            got = self._answer(question)
            some = [item for item in self.evidence.items[q] if not forward or item.name == "y"]
            found = self._each(q, some, got)
            if forward:
                return found
            self.seen[q] = found
        return self.seen[q]

    def _each(self, q: int, some: Sequence[Observation], got: Answer | None) -> list[float | None]:
        """What it says of each item; of a large question no more than the first contradiction, for time's sake."""
        found: dict[str, float | None] = {}
        for item in sorted(some, key=lambda item: not item.wrong):
            found[item.name] = None if got is None else self._said(q, item, got)
            if found[item.name] is None and self.evidence.questions[q].case.x.size > LARGE and not self._place(q):
                break
        if self._place(q):
            found |= _following(some, found)
        return [found.get(item.name) for item in some]

    def _answer(self, question: Question) -> Answer | None:
        """Its answer; none to a question for which it has no meaning."""
        try:
            return answer(self.call, question)
        except (ArithmeticError, ValueError, IndexError):
            return None

    def _said(self, q: int, item: Observation, got: Answer) -> float | None:
        prediction = getattr(got, item.name)
        off = deviates(item, prediction)
        if off:
            self.touched.add(item.kind)
        if agrees(item, prediction):
            return 0.0
        noisy = self.hypothesis.noisy
        if (noisy and excused(item, prediction)) or (off and item.wrong and item.name in ARRAYS and self._place(q)):
            return 1.0
        return self._unlike(q, item, prediction) if noisy and off and item.wrong else None

    def _place(self, q: int) -> bool:
        """Whether the place of what is wrong is the story, however it is wrong.

        So it is with other ways of calling, and where every ordinary question is answered rightly.
        """
        told = bool(self.evidence.questions[q].told)
        return told and (self.hypothesis.fault.where == "use" or self.evidence.sound)

    def _unlike(self, q: int, item: Observation, prediction: Any) -> float | None:
        """How unlike two errors are that are rounding noise."""
        moved, right = self._answer(nudged(self.evidence.questions[q])), self.evidence.right(q)
        if moved is None or right is None:
            return None
        return unlike(item, prediction, getattr(moved, item.name), getattr(right, item.name))

    def holds(self, some: Iterable[int]) -> bool:
        return all(said is not None for q in some for said in self.on(q))

    def holds_for(self, some: Iterable[int], names: Sequence[str]) -> bool:
        """Whether it contradicts none of the items of some names, in training."""
        return not any(self.left(some, names))

    def left(self, some: Iterable[int], names: Sequence[str] = ()) -> Iterator[Observation]:
        """The items that it contradicts."""
        for q in some:
            for item, said in zip(self.evidence.items[q], self.on(q), strict=True):
                if said is None and (not names or (item.name in names and item.kind[1] == "plain")):
                    yield item

    def share(self, some: Iterable[int]) -> float:
        """Of what is wrong, how much it explains, less what it says is wrong and is right."""
        pairs = [pair for q in some for pair in zip(self.evidence.items[q], self.on(q), strict=True)]
        wrong = [said is not None for item, said in pairs if item.wrong]
        right = [said is not None for item, said in pairs if not item.wrong]
        explained = sum(wrong) / max(len(wrong), 1)
        return explained - (1.0 - sum(right) / len(right) if right else 0.0)

    def unlikeness(self, some: Iterable[int]) -> float:
        return sum(said or 0.0 for q in some for said in self.on(q))


CAUSES = ({"y"}, {"dx", "dweight", "dbias", "running_mean", "running_var"}, {"jv", "ddx"})
"""Arrays, those first from which the others follow."""


def _following(some: Sequence[Observation], found: Mapping[str, float | None]) -> dict[str, float | None]:
    """What a hypothesis did not foretell, but what follows from what it did: wrong arrays beside or after it."""
    foretold = [n for n, names in enumerate(CAUSES) for item in some if item.wrong and item.name in names
                and found.get(item.name) is not None]  # fmt: skip
    after = {name for n, names in enumerate(CAUSES) if foretold and n >= min(foretold) for name in names}
    return {item.name: 2.0 for item in some if item.wrong and item.name in after and found.get(item.name) is None}


def _recorded(subject: Subject, name: str) -> Iterator[Question]:
    """The questions of a check on the first case that breaks its law."""
    check = CHECKS_BY_NAME[name]
    calls: list[tuple[Case, bool]] = []

    def listening(case: Case, gradient: bool) -> Answer:  # the signature of a call
        calls.append((case, gradient))
        return subject.call(case, gradient)

    listener = replace(subject, call=listening)
    entries = 0
    some = check.space.explicit_examples(subject)
    for draw in chain(islice(some, 24), draws(subject, check, 24, seed=1)):
        calls.clear()
        with quiet():
            case, comparison = run_case(listener, check, draw)
        entries += case.x.size
        if not comparison.holds or entries > LOOKING:
            break
    return (Question(case, gradient, name) for case, gradient in calls)


def _particular(subject: Subject, name: str) -> bool:
    """Whether a check asks for a layout, a way of calling, a life, or what a call changes."""
    check = CHECKS_BY_NAME[name]
    less = replace(subject.domain, layouts=(), uses=(), watched=False, operations=())
    return bool(check.lacks(replace(subject, domain=less, transformed=None))) or check.cost > MANY


def _compiled_once(call: Call) -> Call:
    """The same answers, but that what a compiler took seconds for is not asked of it again."""
    known: list[tuple[Case, bool, Answer]] = []

    def remembering(case: Case, gradient: bool) -> Answer:
        if case.use not in (COMPILED, EXPORTED):
            return call(case, gradient)
        for before, with_gradient, got in known:
            if before is case and with_gradient == gradient:
                return got
        got = call(case, gradient)
        known.append((case, gradient, got))
        return got

    return remembering


def gathered(subject: Subject, failed: Sequence[str]) -> Evidence:
    subject = replace(subject, call=_compiled_once(subject.call))
    evidence = Evidence(subject)
    evidence.ask(standard_cases(subject))
    every = range(len(evidence.questions))
    evidence.unsteady = unsteady(subject.call, evidence.questions[:1])
    seen_already = evidence.wrong(every)
    evidence.sound = not seen_already
    evidence.breaks = 0 if evidence.unsteady or not evidence.questions else breaks(subject.call, evidence.questions[0])
    if evidence.unsteady or evidence.breaks:
        return evidence
    for name in [n for n in failed if not seen_already or _particular(subject, n)][: 3 if seen_already else 6]:
        lives = call_traces(subject, name)
        evidence.traces += lives
        if lives:
            continue
        some = _recorded(subject, name)
        before = len(evidence.questions)
        evidence.ask(_telling(list(some)), wrong_only=seen_already, wrong=8 if seen_already else 12)
        evidence.ask(list(_one_at_a_time(evidence, range(before, len(evidence.questions)))))
    return evidence


def _one_at_a_time(evidence: Evidence, some: Iterable[int]) -> Iterator[Question]:
    """Where several arrays lie in layouts of their own and the answer is wrong: each of them alone."""
    for q in some:
        question = evidence.questions[q]
        laid = {role: name for role, name in question.case.layouts.items() if name != "contiguous"}
        if len(laid) > 1 and evidence.wrong([q]):
            for role, name in laid.items():
                yield replace(question, case=question.case.but(layouts={role: name}))
            return


def _telling(some: Sequence[Question]) -> Iterator[Question]:
    """Questions of a check, each way of asking early."""
    seen: set[tuple[str, str, tuple[int, ...]]] = set()
    again = []
    for question in some:
        case = question.case
        way = (case.use, str(sorted(case.layouts.items())), case.x.shape)
        if way in seen:
            again.append(question)
        else:
            seen.add(way)
            yield question
    yield from again[:40]


def unsteady(call: Call, some: Iterable[Question]) -> frozenset[str]:
    """The arrays that differ from call to call on the same content."""
    out: set[str] = set()
    for question in some:
        first, second = (answer(call, question) for _ in range(2))
        for name in ("y", "dx", "dweight", "dbias"):
            one, two = (None if a is None else getattr(a, name) for a in (first, second))
            if one is not None and two is not None and not np.array_equal(one, two, equal_nan=True):
                out.add(name)
    return frozenset(out)


def breaks(call: Call, question: Question) -> int:
    """The first call on new content whose output differs from that of the first; 0 if there is none.

    The eps is new too: what is made for each setting, as a module is, is made anew.
    """
    case = question.case
    other = case.but(x=case.format.round(0.5 - 0.75 * case.x), eps=1.25 * case.eps)
    fresh = replace(question, case=other, gradient=False)
    first = answer(call, fresh)
    for times in range(2, 103):
        again = answer(call, fresh)
        if first is None or again is None or not np.array_equal(first.y, again.y, equal_nan=True):
            return times
    return 0
