"""Name the fault: every known one, and pairs of them, tried on the reference until one answers as the code did.

A hypothesis is kept if it reproduces what was observed, within the bound, where the implementation is wrong and where
it is right. Among several that do, cases are sought on which they differ, and the implementation is asked there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from normcheck.core.foreign_code import quiet
from normcheck.core.result import Outcome
from normcheck.core.space import Pick
from normcheck.diagnosis.evidence import Question, agrees, answer, items
from normcheck.diagnosis.hypotheses import NOTHING, both, hypotheses
from normcheck.diagnosis.hypothesis_test import LARGE, Evidence, HypothesisTest, Kind, breaks, gathered, unsteady
from normcheck.diagnosis.match_traces import match_traces
from normcheck.normalizers import faults
from normcheck.normalizers.checks import CHECKS_BY_NAME
from normcheck.normalizers.sampling.recipes import state, values
from normcheck.normalizers.sampling.space import NormalizerSpace, choose
from normcheck.normalizers.subject import Answer, Subject

ANSWERS = 2500.0
"""A diagnosis ends after as many answers of hypotheses to small questions, with what it has: below 3 s on one core.

Not a time: what is found may not depend on what else the machine does."""

PARTLY = 0.6
"""A hypothesis that explains this share of what is wrong, and contradicts hardly anything, is named
if none explains all."""

APART = ("memory", "use", "format")
"""Faults that show only where a check asks for them."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The names of what explains the findings, most likely first; a pair is two names with a plus between."""

    names: tuple[str, ...] = ()
    share: float = 0.0  # of the wrong answers, how many the first name explains
    ruled_out: tuple[str, ...] = ()  # faults that contradict what was seen


def _changing(evidence: Evidence) -> list[str]:
    """The faults that change from call to call as the implementation does."""
    subject = evidence.subject
    out = []
    for h in hypotheses(subject.normalizer):
        if not h.lasting:
            continue
        call = faults.subject(subject.normalizer, h.fault, subject.contract).call
        if evidence.unsteady:
            moves = unsteady(call, evidence.questions[:1])  # gradients follow an output that moves
            if moves and moves <= evidence.unsteady and ("y" in moves) == ("y" in evidence.unsteady):
                out.append(h.names[0])
        elif evidence.questions:
            times = breaks(call, evidence.questions[0])
            if times and evidence.breaks / 3 < times < 3 * evidence.breaks:
                out.append(h.names[0])
    return out


class FaultSearch:
    """The search for what explains the evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        every = range(len(evidence.questions))
        wide = [q for q in every if evidence.questions[q].wide]
        told = [q for q in every if evidence.questions[q].told]
        self.counted = [*wide, *told] if evidence.wrong(wide) else list(every)
        self.every = list(every)
        self.ordinary = [q for q in every if q not in told]
        self.screen = sorted(self._screen(), key=self._size)  # what contradicts a small one need not see a large one
        self.rest = sorted((q for q in self.counted if q not in self.screen), key=self._size)
        self.trials = [HypothesisTest(h, evidence) for h in hypotheses(evidence.subject.normalizer) if not h.lasting]

    def _size(self, q: int) -> int:
        return int(self.evidence.questions[q].case.x.size)

    def late(self) -> bool:
        return self.evidence.spent > ANSWERS

    def _screen(self) -> list[int]:
        """A few questions on which everything is wrong that is wrong anywhere, and one where nothing is."""
        evidence, out = self.evidence, []
        seen: set[Kind] = set()
        plain = [q for q in self.counted if not evidence.questions[q].told]
        by_size = sorted(
            plain if evidence.wrong(plain) else self.counted, key=lambda q: evidence.questions[q].case.x.size
        )
        telling = sorted(by_size, key=lambda q: -sum(item.wrong for item in evidence.items[q]))
        for q in by_size if telling and self._size(telling[0]) > LARGE else telling:
            new = {item.kind for item in evidence.items[q] if item.wrong} - seen
            if new:
                out.append(q)
                seen |= new
        right = [q for q in by_size if not any(item.wrong for item in evidence.items[q])]
        return out + right[:1]

    def singles(self) -> list[HypothesisTest]:
        if not self.evidence.wrong(self.ordinary):  # what shows there already cannot be what is looked for
            first = sorted(self.ordinary, key=self._size)[:4]
            self.trials = [t for t in self.trials if all(t.holds([q]) for q in first)]
        if any(self._size(q) > LARGE for q in self.screen):  # dear: what shows on small cases or elsewhere is left out
            some = (t for t in self.trials if not t.hypothesis.form and t.hypothesis.fault.where not in APART)
            self.trials = list(some)[::-1]  # the catalog begins with the formula and ends with rare sizes
        for trial in self.trials:
            for q in self.screen:
                dear = self._size(q) > LARGE
                if (dear and not trial.holds(trial.seen)) or self.late():
                    break
                trial.on(q)
        done = [t for t in self.trials if set(self.screen) <= set(t.seen)]
        return [t for t in done if all(t.holds([q]) for q in (*self.screen, *self.rest))]

    def pairs(self) -> list[HypothesisTest]:
        """Two faults at once: the output explained first, then what is left of the gradients and the rest."""
        if self.late():
            return []
        nothing = HypothesisTest(NOTHING, self.evidence)
        forward = [t for t in self.trials if t.hypothesis.fault.where == "forward"]
        first = [t for t in [nothing, *forward] if t.holds_for(self.screen, ("y",))]
        first = [t for t in first if t.holds_for(self.rest, ("y",))]
        found: list[HypothesisTest] = []
        for one in first:
            found += self._completed(one)
            if found and one is nothing:
                break
        if not first:
            found = list(self._two_in_forward(forward))
        return found

    def _completed(self, one: HypothesisTest) -> list[HypothesisTest]:
        """The pairs of one hypothesis with another that explains what it leaves."""
        left = {item.kind for item in one.left(self.counted)}
        found: list[HypothesisTest] = []
        for q in self._told_of(left):
            for t in self.trials:
                if t.hypothesis.fault.where in APART:
                    t.on(q)
        others = [t for t in self.trials if t.touched & left and t.hypothesis.fault.where != "forward"]
        some = [(one, t) for t in others]
        if one.hypothesis is NOTHING:
            some = [(a, b) for a, b in combinations(others, 2) if left <= a.touched | b.touched]
            some.sort(key=lambda pair: -self._jointly(*pair))
        for a, b in some:
            if self.late():
                break
            trial = HypothesisTest(both(a.hypothesis, b.hypothesis), self.evidence)
            if all(trial.holds([q]) for q in (*self.screen, *self.rest)):
                found.append(trial)
        return found

    def _jointly(self, one: HypothesisTest, other: HypothesisTest) -> int:
        """How many items of the screen one of two explains, where each has the other's right answers to itself."""
        said = [pair for q in self.screen for pair in zip(one.on(q), other.on(q), strict=True)]
        return sum(a is not None or b is not None for a, b in said)

    def _told_of(self, left: set[Kind]) -> list[int]:
        """One question of a check for each kind of item that is left and that the battery does not ask."""
        first: dict[Kind, int] = {}
        for q in self.counted:
            if self.evidence.questions[q].told:
                for item in self.evidence.items[q]:
                    if item.wrong and item.kind in left:
                        first.setdefault(item.kind, q)
        return sorted(set(first.values()), key=self._size)[:4]

    def _two_in_forward(self, forward: list[HypothesisTest]) -> Iterator[HypothesisTest]:
        """Both faults change the output: all pairs, on the output of one small case first."""
        wrong = [q for q in self.counted if any(i.wrong and i.kind == ("y", "plain") for i in self.evidence.items[q])]
        wrong.sort(key=lambda q: self.evidence.questions[q].case.x.size)
        changing = [t for t in forward if ("y", "plain") in t.touched]
        for a, b in combinations(changing, 2):
            if self.late():
                return
            trial = HypothesisTest(both(a.hypothesis, b.hypothesis), self.evidence)
            if all(None not in trial.on(q, forward=True) for q in wrong[:3]) and trial.holds(self.counted):
                yield trial

    def partly(self) -> list[HypothesisTest]:
        """What explains the output, or most of what is wrong, where nothing explains all."""
        if any(self._size(q) > LARGE for q in self.counted):
            return []
        some = list(self.trials)
        some.sort(key=lambda t: -t.share(self.screen))
        some = some[:8]
        some = [t for t in some if t.share(self.counted) >= PARTLY or self._explains_output(t)]
        return sorted(some, key=lambda t: -t.share(self.counted))

    def _explains_output(self, trial: HypothesisTest) -> bool:
        """Whether it explains an output that is wrong: a gradient can follow from it in more than one way."""
        wrong = any(item.wrong and item.name == "y" for q in self.screen for item in self.evidence.items[q])
        return wrong and trial.holds_for(self.counted, ("y",))

    def ranked(self, found: list[HypothesisTest]) -> list[HypothesisTest]:
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


def _told_apart(evidence: Evidence, rivals: list[HypothesisTest]) -> list[HypothesisTest]:
    """Those of several that still hold on cases sought to tell them apart."""
    subject = evidence.subject
    rng = np.random.default_rng(5)
    pick: Pick = lambda options: options[int(rng.integers(len(options)))]  # a value of type Pick
    asked_here = 0
    for tried in range(24):
        if len(rivals) < 2 or asked_here >= 4:
            break
        draw = choose(NormalizerSpace(values), subject.normalizer, subject.domain, pick)
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


def _name(trial: HypothesisTest, counted: Sequence[int]) -> str:
    """One name, or two in the order of how much they explain alone."""
    parts = trial.hypothesis.parts
    if not parts:
        return trial.hypothesis.names[0]
    shares = [(-HypothesisTest(part, trial.evidence).share(counted), part.names[0]) for part in parts]
    return "+".join(name for _, name in sorted(shares))


def examine(subject: Subject, outcomes: Iterable[Outcome]) -> Diagnosis:
    """What explains the findings of a run, and what cannot."""
    failed = [o.check for o in outcomes if o.finding is not None and o.check in CHECKS_BY_NAME]
    if not failed:
        return Diagnosis()
    with quiet():  # a set without members has no mean, and says so
        return _explained(gathered(subject, failed))


def _explained(evidence: Evidence) -> Diagnosis:
    if evidence.unsteady or evidence.breaks:
        return Diagnosis(tuple(dict.fromkeys(_changing(evidence))), 1.0)
    if not evidence.wrong(range(len(evidence.questions))):
        return Diagnosis(tuple(match_traces(evidence)), 1.0)
    inquiry = FaultSearch(evidence)
    found = inquiry.singles()
    if not found and (alike := match_traces(evidence)):
        return Diagnosis(tuple(alike), 1.0)
    if found:
        found = inquiry.ranked(found)
        if len({t.hypothesis.names for t in found}) > 1:
            found = _told_apart(evidence, found)
    else:
        found = inquiry.ranked(inquiry.pairs()) or inquiry.partly()
    names = tuple(dict.fromkeys(_name(t, inquiry.counted) for t in found))
    kept = {name for t in found for name in t.hypothesis.names}
    out = tuple(f.name for f in faults.concerning(evidence.subject.normalizer) if f.name not in kept)
    return Diagnosis(names, max(found[0].share(inquiry.counted), 0.0) if found else 0.0, out)


def diagnose(subject: Subject, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Names of faults that explain the findings of a run, most likely first; none without a finding."""
    return examine(subject, outcomes).names
