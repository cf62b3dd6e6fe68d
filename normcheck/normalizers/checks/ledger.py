"""A ledger in float64 for one layer over several calls, and how a program is told against it.

A program says what happens to the layer. After every operation its statistics must be those of the ledger; in
training the output is that of the batch alone, in evaluation that of the statistics which the layer then holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import Array, Format
from normcheck.core.result import Comparison, worst
from normcheck.normalizers import programs
from normcheck.normalizers.bounds import bounds, history
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import demanded, output_within, truth_of
from normcheck.normalizers.programs import MOVES, RARE, RELOAD, RENEW, RESET
from normcheck.normalizers.subject import Life, State, Subject

LAW = "after every operation the running statistics are those of the ledger"


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """What a layer must hold. loss: what it may be off by, mean and variance; count: None where nobody can know."""

    mean: Array
    var: Array
    loss: tuple[Array, Array]
    momentum: float | None
    count: int | None
    format: Format


def _zeros(ledger_of: Array) -> tuple[Array, Array]:
    return np.zeros_like(ledger_of), np.zeros_like(ledger_of)


def _opened(case: Case, begun: State) -> Ledger:
    """A ledger for a layer that has just been given the statistics of a case."""
    assert case.running_mean is not None, "a life begins with running statistics"
    assert case.running_var is not None, "a life begins with running statistics"
    count = 0 if begun.count is None else begun.count
    return Ledger(case.running_mean, case.running_var, _zeros(case.running_mean), case.momentum, count, case.format)


def _read(ledger: Ledger, seen: State) -> Ledger:
    """The ledger after something of which several outcomes are right: what is there is what counts."""
    return replace(ledger, mean=seen.mean, var=seen.var, loss=_zeros(seen.mean), count=seen.count)


def _share(ledger: Ledger, subject: Subject) -> float | None:
    """The momentum of the next batch as the contract means it; None where nobody can know."""
    if ledger.momentum is not None:
        return ledger.momentum
    if ledger.count is None:
        return None
    new = 1.0 / (ledger.count + 1)
    return new if subject.contract.momentum == "new" else 1.0 - new


@dataclass(slots=True)
class Story:
    """A program as it is asked: the layer, its ledger, and what was found on the way."""

    subject: Subject
    case: Case
    life: Life
    ledger: Ledger
    found: list[Comparison] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def told(self) -> Comparison:
        """The whole program; it ends where a law is broken."""
        for step, operation in enumerate(self.case.program):
            said = f"after: {', '.join(self.case.program[: step + 1])}"
            for one in self._happens(operation, step):
                self.found.append(replace(one, detail=said))
                if not one.holds:
                    return self._answer()
        return self._answer()

    def _answer(self) -> Comparison:
        one = worst(*self.found) if self.found else Comparison(LAW, 0, 0.0)
        return replace(one, refused=self.refused, notes=self.notes)

    def _happens(self, operation: str, step: int) -> Iterator[Comparison]:
        if operation not in programs.BATCHES:
            return self._done(operation)
        here = programs.batch(self.case, operation, step)
        if not here.training:
            return self._evaluated(here)
        if operation in RARE or _share(self.ledger, self.subject) is None:
            return self._rare(here, operation)
        return self._trained(here, operation)

    def _trained(self, here: Case, operation: str) -> Iterator[Comparison]:
        ledger, subject = self.ledger, self.subject
        share = _share(ledger, subject)
        assert share is not None
        here = here.but(running_mean=ledger.mean, running_var=ledger.var, momentum=share)
        before = self.life.state()
        try:
            answer = self.life.call(here, here.dy is not None and subject.domain.gradient)
        except CallError as error:
            if ledger.momentum is not None and here.x.shape[0] > 1:
                raise
            yield from self._refusal(operation if ledger.momentum is not None else "momentum None", error, before)
            return
        truth = truth_of(subject, here)
        yield output_within(subject, truth, answer.y, "in training")
        assert truth.running_mean is not None
        assert truth.running_var is not None
        one = (bounds.running(truth, demanded(subject, here), variance=variance).total for variance in (False, True))
        losses = [
            history.updated(lost, subject.contract.bound_multiplier * bound, share, subject.contract)
            for lost, bound in zip(ledger.loss, one, strict=True)
        ]
        count = None if ledger.count is None else ledger.count + 1
        self.ledger = replace(
            ledger, mean=truth.running_mean, var=truth.running_var, loss=(losses[0], losses[1]), count=count
        )
        yield from self._balanced(self.life.state())

    def _balanced(self, seen: State) -> Iterator[Comparison]:
        """The layer's statistics against the ledger."""
        ledger = self.ledger
        yield differ("running mean = ledger", seen.mean, ledger.mean, ledger.loss[0])
        yield differ("running var = ledger", seen.var, ledger.var, ledger.loss[1])
        if seen.count is not None and ledger.count is not None and _cumulative(self.subject):
            yield _equal("batches counted = batches seen", seen.count, ledger.count)

    def _evaluated(self, here: Case) -> Iterator[Comparison]:
        """Output of the statistics that are there, which stay bit for bit."""
        before = self.life.state()
        answer = self.life.call(here, False)
        truth = truth_of(self.subject, here.but(running_mean=before.mean, running_var=before.var))
        yield output_within(self.subject, truth, answer.y, "in evaluation")
        yield from _same("evaluation leaves the {}", self.life.state(), before)

    def _rare(self, here: Case, operation: str) -> Iterator[Comparison]:
        """A batch without a right answer is refused and leaves no trace, or leaves numbers."""
        before = self.life.state()
        try:
            self.life.call(here, False)
        except CallError as error:
            yield from self._refusal(operation, error, before)
            return
        seen = self.life.state()
        if here.x.shape[0] == 0:
            yield from self._without_cases(seen, before)
            return
        for name, value in (("mean", seen.mean), ("var", seen.var)):
            ones = np.ones(value.shape)
            yield differ(f"running {name} is a number", np.isfinite(value).astype(float), ones, NOTHING)
        self.ledger = _read(self.ledger, seen)

    def _without_cases(self, seen: State, before: State) -> Iterator[Comparison]:
        """No cases leave no trace. Whoever averages them without a guard stores 0 / 0: torch's own instance norm does.

        That is seen at once, and information; a number that is another one is a finding.
        """
        if np.all(np.isfinite(seen.mean)) and np.all(np.isfinite(seen.var)):
            yield from _same("a batch of no cases leaves the {}", seen, before)
            self.ledger = _read(self.ledger, seen)
            return
        self.notes["a batch of no cases"] = "leaves NaN in the running statistics"
        self.life = self.subject.live(self.case) if self.subject.live is not None else self.life
        self.ledger = _opened(self.case, self.life.state())

    def _refusal(self, what: str, error: CallError, before: State) -> Iterator[Comparison]:
        """A call that raises leaves mean and variance as they were; an optional momentum is then given up."""
        self.refused[what] = error.reason
        seen = self.life.state()
        yield from _same("a refused batch leaves the {}", seen, before)
        if seen.count != before.count:
            self.notes["batches that are refused"] = "are counted among the batches seen"
        self.ledger = _read(self.ledger, seen)
        if self.ledger.momentum is None:
            self.life.do("momentum 0.1")
            self.ledger = replace(self.ledger, momentum=programs.MOMENTA["momentum 0.1"])

    def _done(self, operation: str) -> Iterator[Comparison]:
        """Something between two calls."""
        before = self.life.state()
        try:
            self.life.do(operation)
        except CallError as error:
            if operation == RELOAD:  # its own state_dict is what every module takes
                raise
            self.refused[operation] = error.reason
            return
        seen, ledger = self.life.state(), self.ledger
        if operation in programs.MOMENTA:
            self.ledger = replace(ledger, momentum=programs.MOMENTA[operation])
        if operation in (RESET, RENEW):
            zero, one = np.zeros(seen.mean.shape), np.ones(seen.var.shape)
            momentum = self.case.momentum if operation == RENEW else ledger.momentum
            self.ledger = Ledger(zero, one, _zeros(zero), momentum, 0, ledger.format)
            yield from self._balanced(seen)
            yield from self._kept(operation, seen)
        elif operation in MOVES:
            yield from self._moved(operation, before, seen)
        else:
            yield from _same(f"{operation}: the same {{}}", seen, before)
            yield from self._kept(operation, seen)
            if seen.count is not None and before.count is not None:
                yield _equal(f"{operation}: as many batches counted", seen.count, before.count)

    def _kept(self, operation: str, seen: State) -> Iterator[Comparison]:
        """The layer and its statistics have one format."""
        own = self.case.format.name
        if seen.format:
            yield _equal(f"{operation}: statistics are kept in {own}", seen.format, own)

    def _moved(self, operation: str, before: State, seen: State) -> Iterator[Comparison]:
        """Statistics follow the layer: rounded once to the new format, kept in it."""
        self.case = programs.moved(self.case, operation)
        format = self.case.format
        expected = replace(before, mean=format.round(before.mean), var=format.round(before.var))
        yield from _same(f"{operation}: the {{}} moves along", seen, expected)
        yield from self._kept(operation, seen)
        ledger = self.ledger
        losses = [
            history.moved(lost, value, ledger.format, format)
            for lost, value in zip(ledger.loss, (ledger.mean, ledger.var), strict=True)
        ]
        self.ledger = replace(ledger, loss=(losses[0], losses[1]), format=format)


def _same(law: str, seen: State, expected: State) -> Iterator[Comparison]:
    """Bit for bit."""
    yield differ(law.format("running mean"), seen.mean, expected.mean, NOTHING)
    yield differ(law.format("running var"), seen.var, expected.var, NOTHING)


def _equal(law: str, seen: object, expected: object) -> Comparison:
    if seen == expected:
        return Comparison(law, 1, 0.0)
    return Comparison(f"{law} (found {seen}, expected {expected})", 1, math.inf, math.inf)


def _cumulative(subject: Subject) -> bool:
    """Whether the count of batches means something: only a cumulative average reads it."""
    return any(programs.MOMENTA[o] is None for o in subject.domain.operations if o in programs.MOMENTA)


def told(subject: Subject, case: Case) -> Comparison:
    """The program of the case, told of one layer."""
    assert subject.live is not None
    life = subject.live(case)
    return Story(subject, case, life, _opened(case, life.state())).told()
