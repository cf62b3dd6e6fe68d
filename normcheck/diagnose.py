"""Name the fault: every known one, and pairs of them, tried on the reference until one answers as the code did.

A hypothesis is kept if it reproduces what was observed, within the bound, where the implementation is wrong and where
it is right. Among several that do, cases are sought on which they differ, and the implementation is asked there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from normcheck import faults
from normcheck.adapters.base import Answer, Call, Subject
from normcheck.case import Case
from normcheck.checks import BY_NAME
from normcheck.draws import Pick, Space, choose, edges
from normcheck.errors import CallError
from normcheck.evidence import Item, Question, agrees, answer, battery, deviates, excused, items, nudged, unlike
from normcheck.hypotheses import NOTHING, Hypothesis, both, hypotheses
from normcheck.recipes import state, values
from normcheck.result import Outcome
from normcheck.sweep import asked

SECONDS = 3.0
"""A diagnosis ends after this time, with what it has."""

PARTLY = 0.6
"""A hypothesis that explains this share of what is wrong, and contradicts hardly anything, is named if none explains all."""

MANY = 50
"""A check that asks the same more often than this looks for what changes from call to call."""

Kind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The names of what explains the findings, most likely first; a pair is two names with a plus between."""

    names: tuple[str, ...] = ()
    share: float = 0.0  # of the wrong answers, how many the first name explains
    ruled_out: tuple[str, ...] = ()  # faults that contradict what was seen


@dataclass(eq=False)
class Evidence:
    """Questions, and what the implementation answered to them, item by item."""

    subject: Subject
    questions: list[Question] = field(default_factory=list)
    items: list[list[Item]] = field(default_factory=list)
    moved: dict[int, Answer | None] = field(default_factory=dict)
    unsteady: frozenset[str] = frozenset()
    breaks: int = 0  # the call on the same content from which on it is wrong, if that was looked for

    def ask(self, some: Iterable[Question], *, wrong_only: bool = False) -> None:
        for question in some:
            got = answer(self.subject.call, question)
            if got is None:
                continue
            found = list(items(self.subject, question, got))
            if wrong_only and not any(item.wrong for item in found):
                continue
            self.questions.append(question)
            self.items.append(found)

    def wrong(self, among: Iterable[int]) -> bool:
        return any(item.wrong for q in among for item in self.items[q])

    def right(self, q: int) -> Answer | None:
        """The right answer to a question whose input is moved a hair."""
        if q not in self.moved:
            right = faults.subject(self.subject.normalizer, contract=self.subject.contract)
            self.moved[q] = answer(right.call, _nudged(self.questions[q]))
        return self.moved[q]


def _nudged(question: Question) -> Question:
    return replace(question, case=nudged(question.case))


class Trial:
    """One hypothesis before the evidence. None: it contradicts an item; else how unlike it is, 0 for not at all."""

    def __init__(self, hypothesis: Hypothesis, evidence: Evidence) -> None:
        self.hypothesis, self.evidence = hypothesis, evidence
        self.call: Call = faults.subject(
            evidence.subject.normalizer, hypothesis.fault, evidence.subject.contract
        ).call
        self.seen: dict[int, list[float | None]] = {}
        self.touched: set[Kind] = set()

    def on(self, q: int, *, forward: bool = False) -> list[float | None]:
        """What it says of each item of a question; forward: of the output alone."""
        if q not in self.seen:
            question = self.evidence.questions[q]
            if forward:
                question = replace(question, gradient=False)
            got = self._answer(question)
            some = [item for item in self.evidence.items[q] if not forward or item.name == "y"]
            found = [None if got is None else self._said(q, item, got) for item in some]
            if forward:
                return found
            self.seen[q] = found
        return self.seen[q]

    def _answer(self, question: Question) -> Answer | None:
        """Its answer; none to a question for which it has no meaning."""
        try:
            return answer(self.call, question)
        except (ValueError, IndexError):
            return None

    def _said(self, q: int, item: Item, got: Answer) -> float | None:
        prediction = getattr(got, item.name)
        off = deviates(item, prediction)
        if off:
            self.touched.add(item.kind)
        if agrees(item, prediction):
            return 0.0
        if self.hypothesis.noisy and excused(item, prediction):
            return 1.0
        if not (off and item.wrong):
            return None
        if self.hypothesis.fault.where == "use":  # what goes wrong there is anything; where it does is the story
            return 1.0
        if not self.hypothesis.noisy:
            return None
        moved, right = self._answer(_nudged(self.evidence.questions[q])), self.evidence.right(q)
        if moved is None or right is None:
            return None
        return unlike(item, prediction, getattr(moved, item.name), getattr(right, item.name))

    def holds(self, some: Iterable[int]) -> bool:
        return all(said is not None for q in some for said in self.on(q))

    def holds_for(self, some: Iterable[int], names: Sequence[str]) -> bool:
        """Whether it contradicts none of the items of some names, in training."""
        return not any(self.left(some, names))

    def left(self, some: Iterable[int], names: Sequence[str] = ()) -> Iterator[Item]:
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


def _recorded(subject: Subject, name: str) -> Iterator[Question]:
    """The questions of a check on the first case that breaks its law."""
    check = BY_NAME[name]
    calls: list[tuple[Case, bool]] = []

    def listening(case: Case, gradient: bool) -> Answer:  # noqa: FBT001  # the signature of a call
        calls.append((case, gradient))
        return subject.call(case, gradient)

    listener = replace(subject, call=listening)
    for tried, draw in enumerate(edges(check.space, subject.normalizer, subject.domain)):
        calls.clear()
        _, comparison = asked(listener, check, draw)
        if not comparison.holds or tried == 12:
            break
    return (Question(case, gradient, name) for case, gradient in calls)


def _particular(subject: Subject, name: str) -> bool:
    """Whether a check asks for a layout, a way of calling, or what a call changes."""
    check = BY_NAME[name]
    less = replace(subject, domain=replace(subject.domain, layouts=(), uses=(), watched=False))
    return bool(check.lacks(less)) or check.cost > MANY


def _gathered(subject: Subject, failed: Sequence[str]) -> Evidence:
    evidence = Evidence(subject)
    evidence.ask(battery(subject))
    every = range(len(evidence.questions))
    evidence.unsteady = _unsteady(subject.call, [evidence.questions[q] for q in every[:1]])
    seen_already = evidence.wrong(every)
    for name in [n for n in failed if not seen_already or _particular(subject, n)][:6]:
        some = list(_recorded(subject, name))
        if len(some) > MANY:
            evidence.breaks = _breaks(subject.call, some[0])
            continue
        evidence.ask(some[:24], wrong_only=len(some) > 6)
    return evidence


def _unsteady(call: Call, some: Iterable[Question]) -> frozenset[str]:
    """The arrays that differ from call to call on the same content."""
    out: set[str] = set()
    for question in some:
        first, second = (answer(call, question) for _ in range(2))
        for name in ("y", "dx", "dweight", "dbias"):
            one, two = (None if a is None else getattr(a, name) for a in (first, second))
            if one is not None and two is not None and not np.array_equal(one, two, equal_nan=True):
                out.add(name)
    return frozenset(out)


def _breaks(call: Call, question: Question) -> int:
    """The first call on new content whose output differs from that of the first; 0 if there is none."""
    case = question.case
    fresh = replace(question, case=case.but(x=case.format.round(0.5 - 0.75 * case.x)), gradient=False)
    first = answer(call, fresh)
    for times in range(2, 103):
        again = answer(call, fresh)
        if first is None or again is None or not np.array_equal(first.y, again.y, equal_nan=True):
            return times
    return 0


def _changing(evidence: Evidence) -> list[str]:
    """The faults that change from call to call as the implementation does."""
    subject = evidence.subject
    out = []
    for h in hypotheses(subject.normalizer):
        if not h.lasting:
            continue
        call = faults.subject(subject.normalizer, h.fault, subject.contract).call
        if evidence.unsteady:
            if _unsteady(call, evidence.questions[:1]) == evidence.unsteady:
                out.append(h.names[0])
        elif evidence.questions:
            times = _breaks(call, evidence.questions[0])
            if times and evidence.breaks / 3 < times < 3 * evidence.breaks:
                out.append(h.names[0])
    return out


class Inquiry:
    """The search for what explains the evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.started = evidence, time.perf_counter()
        every = range(len(evidence.questions))
        wide = [q for q in every if evidence.questions[q].wide]
        told = [q for q in every if evidence.questions[q].told]
        self.counted = [*wide, *told] if evidence.wrong(wide) else list(every)
        self.every = list(every)
        self.screen = self._screen()
        self.rest = [q for q in self.counted if q not in self.screen]
        self.trials = [Trial(h, evidence) for h in hypotheses(evidence.subject.normalizer) if not h.lasting]

    def late(self) -> bool:
        return time.perf_counter() - self.started > SECONDS

    def _screen(self) -> list[int]:
        """A few questions on which everything is wrong that is wrong anywhere, and one where nothing is."""
        evidence, out = self.evidence, []
        seen: set[Kind] = set()
        by_size = sorted(self.counted, key=lambda q: evidence.questions[q].case.x.size)
        for q in sorted(by_size, key=lambda q: -sum(item.wrong for item in evidence.items[q])):
            new = {item.kind for item in evidence.items[q] if item.wrong} - seen
            if new:
                out.append(q)
                seen |= new
        right = [q for q in by_size if not any(item.wrong for item in evidence.items[q])]
        return out + right[:1]

    def singles(self) -> list[Trial]:
        for trial in self.trials:
            for q in self.screen:
                trial.on(q)
        return [t for t in self.trials if t.holds(self.screen) and t.holds(self.rest)]

    def pairs(self) -> list[Trial]:
        """Two faults at once: the output explained first, then what is left of the gradients and the rest."""
        nothing = Trial(NOTHING, self.evidence)
        forward = [t for t in self.trials if t.hypothesis.fault.where == "forward"]
        first = [t for t in [nothing, *forward] if t.holds_for(self.screen, ("y",))]
        first = [t for t in first if t.holds_for(self.rest, ("y",))]
        found: list[Trial] = []
        for one in first:
            found += self._completed(one)
            if found and one is nothing:
                break
        if not first:
            found = list(self._two_in_forward(forward))
        return found

    def _completed(self, one: Trial) -> list[Trial]:
        """The pairs of one hypothesis with another that explains what it leaves."""
        left = {item.kind for item in one.left(self.counted)}
        found: list[Trial] = []
        others = [t for t in self.trials if t.touched & left and t is not one]
        if one.hypothesis is NOTHING:
            some: Iterable[tuple[Trial, Trial]] = (
                (a, b) for a, b in combinations(others, 2) if left <= a.touched | b.touched
            )
        else:
            some = ((one, t) for t in others if t.hypothesis.fault.where != "forward")
        for a, b in some:
            if self.late():
                break
            trial = Trial(both(a.hypothesis, b.hypothesis), self.evidence)
            if all(trial.holds([q]) for q in (*self.screen, *self.rest)):
                found.append(trial)
        return found

    def _two_in_forward(self, forward: list[Trial]) -> Iterator[Trial]:
        """Both faults change the output: all pairs, on the output of one small case first."""
        wrong = [q for q in self.counted if any(i.wrong and i.kind == ("y", "plain") for i in self.evidence.items[q])]
        wrong.sort(key=lambda q: self.evidence.questions[q].case.x.size)
        changing = [t for t in forward if ("y", "plain") in t.touched]
        for a, b in combinations(changing, 2):
            if self.late():
                return
            trial = Trial(both(a.hypothesis, b.hypothesis), self.evidence)
            if all(None not in trial.on(q, forward=True) for q in wrong[:3]) and trial.holds(self.counted):
                yield trial

    def partly(self) -> list[Trial]:
        """What explains the output, or most of what is wrong, where nothing explains all."""
        some = [t for t in self.trials if any(i.wrong for q in self.screen for i in self.evidence.items[q])]
        some.sort(key=lambda t: -t.share(self.screen))
        some = some[:8]
        some = [t for t in some if t.share(self.counted) >= PARTLY]
        return sorted(some, key=lambda t: -t.share(self.counted))

    def ranked(self, found: list[Trial]) -> list[Trial]:
        """Exact before alike in size, as the catalog has it before other forms, more of what is seen before less."""
        return sorted(
            found,
            key=lambda t: (
                round(t.unlikeness(self.counted), 1),
                -round(t.share(self.every), 2),
                len(t.touched),
                t.hypothesis.form,
            ),
        )


def _told_apart(evidence: Evidence, rivals: list[Trial]) -> list[Trial]:
    """Those of several that still hold on cases sought to tell them apart."""
    subject = evidence.subject
    rng = np.random.default_rng(5)
    pick: Pick = lambda options: options[int(rng.integers(len(options)))]  # a value of type Pick
    asked_here = 0
    for tried in range(24):
        if len(rivals) < 2 or asked_here >= 4:
            break
        draw = choose(Space(values), subject.normalizer, subject.domain, pick)
        case = values(subject.normalizer, draw)
        if tried % 3 == 2 and (subject.domain.state or subject.domain.evaluation):
            case = state(subject.normalizer, draw, training=subject.domain.state and tried % 2 == 0)
        question = Question(case)
        said = [answer(t.call, question) for t in rivals]
        if any(a is None for a in said) or not _differ(subject, question, [a for a in said if a is not None]):
            continue
        asked_here += 1
        before = len(evidence.questions)
        evidence.ask([question])
        kept = [t for t in rivals if t.holds(range(before, len(evidence.questions)))]
        rivals = kept or rivals
    return rivals


def _differ(subject: Subject, question: Question, said: list[Answer]) -> bool:
    """Whether some answers to a question differ by more than rounding may."""
    return any(
        not agrees(item, getattr(other, item.name)) for other in said[1:] for item in items(subject, question, said[0])
    )


def _name(trial: Trial, counted: Sequence[int]) -> str:
    """One name, or two in the order of how much they explain alone."""
    parts = trial.hypothesis.parts
    if not parts:
        return trial.hypothesis.names[0]
    shares = [(-Trial(part, trial.evidence).share(counted), part.names[0]) for part in parts]
    return "+".join(name for _, name in sorted(shares))


def examine(subject: Subject, outcomes: Iterable[Outcome]) -> Diagnosis:
    """What explains the findings of a run, and what cannot."""
    failed = [o.check for o in outcomes if o.finding is not None and o.check in BY_NAME]
    if not failed:
        return Diagnosis()
    evidence = _gathered(subject, failed)
    if evidence.unsteady or evidence.breaks:
        return Diagnosis(tuple(dict.fromkeys(_changing(evidence))), 1.0)
    if not evidence.wrong(range(len(evidence.questions))):
        return Diagnosis()
    inquiry = Inquiry(evidence)
    found = inquiry.singles()
    if found:
        found = inquiry.ranked(found)
        if len({t.hypothesis.names for t in found}) > 1:
            found = _told_apart(evidence, found)
    else:
        found = inquiry.ranked(inquiry.pairs()) or inquiry.partly()
    names = tuple(dict.fromkeys(_name(t, inquiry.counted) for t in found))
    kept = {name for t in found for name in t.hypothesis.names}
    out = tuple(f.name for f in faults.concerning(subject.normalizer) if f.name not in kept)
    return Diagnosis(names, max(found[0].share(inquiry.counted), 0.0) if found else 0.0, out)


def diagnose(subject: Subject, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Names of faults that explain the findings of a run, most likely first; none without a finding."""
    return examine(subject, outcomes).names
