"""A ledger: the running statistics that a layer must hold, in float64; and how a program is run against it.

A program is a sequence of operations on one layer (`programs`). After each of them the layer's statistics must be those
of the ledger. In training the output is that of the batch, in evaluation that of the statistics that the layer holds.
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
from normcheck.normalizers.bounds import history
from normcheck.normalizers.bounds.contracted import running_bound
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import output_within, truth_of
from normcheck.normalizers.programs import MOVES, RARE, RELOAD, RENEW, RESET
from normcheck.normalizers.subject import Life, State, Subject

NUMBER = "is a number"
"""How the law ends that a batch of one value for each channel leaves no NaN."""

WITHOUT_HISTORY = "running statistics have no history of calls, whose inputs would be kept in memory"
"""The law that a batch in training leaves no graph behind."""

LAW = "after every operation the running statistics are those computed in float64"


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """What a layer must hold. loss: bounds of mean and variance; count: batches seen, None if it is unknown."""

    mean: Array
    var: Array
    loss: tuple[Array, Array]
    momentum: float | None
    count: int | None
    format: Format


def _zeros(mean: Array) -> tuple[Array, Array]:
    return np.zeros_like(mean), np.zeros_like(mean)


def _started(case: Case, begun: State) -> Ledger:
    """The ledger of a layer that was just constructed with the statistics of a case."""
    assert case.running_mean is not None, "a layer starts with running statistics"
    assert case.running_var is not None, "a layer starts with running statistics"
    count = 0 if begun.count is None else begun.count
    return Ledger(case.running_mean, case.running_var, _zeros(case.running_mean), case.momentum, count, case.format)


def _adopted(ledger: Ledger, seen: State) -> Ledger:
    """The ledger after an operation with several right outcomes: from here on, the one that the layer holds."""
    return replace(ledger, mean=seen.mean, var=seen.var, loss=_zeros(seen.mean), count=seen.count)


def _momentum(ledger: Ledger, subject: Subject) -> float | None:
    """The momentum of the next batch, in the meaning of the contract; None if the number of batches is unknown."""
    if ledger.momentum is not None:
        return ledger.momentum
    if ledger.count is None:
        return None
    new = 1.0 / (ledger.count + 1)
    return new if subject.contract.momentum == "new" else 1.0 - new


@dataclass(slots=True)
class ProgramRun:
    """A run of a program: the layer, its ledger, and the comparisons so far."""

    subject: Subject
    case: Case
    life: Life
    ledger: Ledger
    found: list[Comparison] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def run(self) -> Comparison:
        """Run the program, up to the first operation after which a law does not hold."""
        for step, operation in enumerate(self.case.program):
            label = f"after: {', '.join(self.case.program[: step + 1])}"
            for one in self._after(operation, step):
                self.found.append(replace(one, detail=label))
                if not one.holds:
                    return self._result()
        return self._result()

    def _result(self) -> Comparison:
        one = worst(*self.found) if self.found else Comparison(LAW, 0, 0.0)
        return replace(one, refused=self.refused, notes=self.notes)

    def _after(self, operation: str, step: int) -> Iterator[Comparison]:
        """Perform one operation and compare."""
        if operation not in programs.BATCHES:
            return self._done(operation)
        here = programs.batch(self.case, operation, step)
        if not here.training:
            return self._evaluated(here)
        if operation in RARE or _momentum(self.ledger, self.subject) is None:
            return self._rare(here, operation)
        return self._trained(here, operation)

    def _trained(self, here: Case, operation: str) -> Iterator[Comparison]:
        """A training batch: its output, and the update of the statistics."""
        ledger, subject = self.ledger, self.subject
        momentum = _momentum(ledger, subject)
        assert momentum is not None
        here = here.but(running_mean=ledger.mean, running_var=ledger.var, momentum=momentum)
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
        losses = [
            history.updated(lost, running_bound(subject, truth, variance=variance), momentum, subject.contract)
            for lost, variance in zip(ledger.loss, (False, True), strict=True)
        ]
        count = None if ledger.count is None else ledger.count + 1
        self.ledger = replace(
            ledger, mean=truth.running_mean, var=truth.running_var, loss=(losses[0], losses[1]), count=count
        )
        yield from self._balanced(self.life.state())

    def _balanced(self, seen: State) -> Iterator[Comparison]:
        """Compare the layer's statistics with the ledger."""
        ledger = self.ledger
        yield differ("running mean = ledger", seen.mean, ledger.mean, ledger.loss[0])
        yield differ("running var = ledger", seen.var, ledger.var, ledger.loss[1])
        if seen.graph:
            yield Comparison(WITHOUT_HISTORY, 1, math.inf, 1.0, 0.0)
        if seen.count is not None and ledger.count is not None and _cumulative(self.subject):
            yield _equal("batches counted = batches seen", seen.count, ledger.count)

    def _evaluated(self, here: Case) -> Iterator[Comparison]:
        """An evaluation: the output is that of the layer's statistics, which stay the same bit for bit."""
        before = self.life.state()
        answer = self.life.call(here, False)
        truth = truth_of(self.subject, here.but(running_mean=before.mean, running_var=before.var))
        yield output_within(self.subject, truth, answer.y, "in evaluation")
        yield from _same("evaluation leaves the {}", self.life.state(), before)

    def _rare(self, here: Case, operation: str) -> Iterator[Comparison]:
        """A batch without a right result: the layer raises and its statistics stay, or they become finite numbers."""
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
            yield differ(f"running {name} {NUMBER}", np.isfinite(value).astype(float), ones, NOTHING)
        self.ledger = _adopted(self.ledger, seen)

    def _without_cases(self, seen: State, before: State) -> Iterator[Comparison]:
        """A batch of no cases leaves the statistics unchanged.

        Code that averages it without a guard stores 0 / 0, as torch's instance norm does. NaN is seen at once by the
        user, so it is a note; any other change is a finding.
        """
        if np.all(np.isfinite(seen.mean)) and np.all(np.isfinite(seen.var)):
            yield from _same("a batch of no cases leaves the {}", seen, before)
            self.ledger = _adopted(self.ledger, seen)
            return
        self.notes["a batch of no cases"] = "leaves NaN in the running statistics"
        self.life = self.subject.live(self.case) if self.subject.live is not None else self.life
        self.ledger = _started(self.case, self.life.state())

    def _refusal(self, what: str, error: CallError, before: State) -> Iterator[Comparison]:
        """A call that raises leaves mean and variance unchanged. If the momentum was None, it becomes a number."""
        self.refused[what] = error.reason
        seen = self.life.state()
        yield from _same("a refused batch leaves the {}", seen, before)
        if seen.count != before.count:
            self.notes["batches that are refused"] = "are counted among the batches seen"
        self.ledger = _adopted(self.ledger, seen)
        if self.ledger.momentum is None:
            self.life.do("momentum 0.1")
            self.ledger = replace(self.ledger, momentum=programs.MOMENTA["momentum 0.1"])

    def _done(self, operation: str) -> Iterator[Comparison]:
        """An operation between two calls."""
        before = self.life.state()
        try:
            self.life.do(operation)
        except CallError as error:
            if operation == RELOAD:  # every module must load its own state_dict
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
        """The statistics have the format of the layer."""
        own = self.case.format.name
        if seen.format:
            yield _equal(f"{operation}: statistics are kept in {own}", seen.format, own)

    def _moved(self, operation: str, before: State, seen: State) -> Iterator[Comparison]:
        """A move to another format rounds the statistics once to it, and they are stored in it."""
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
    """Mean and variance are equal bit for bit. law: with a placeholder for their name."""
    yield differ(law.format("running mean"), seen.mean, expected.mean, NOTHING)
    yield differ(law.format("running var"), seen.var, expected.var, NOTHING)


def _equal(law: str, seen: object, expected: object) -> Comparison:
    """Two plain values are equal."""
    if seen == expected:
        return Comparison(law, 1, 0.0)
    return Comparison(f"{law} (found {seen}, expected {expected})", 1, math.inf, math.inf)


def _cumulative(subject: Subject) -> bool:
    """Whether the count of batches matters: only a cumulative average depends on it."""
    return any(programs.MOMENTA[o] is None for o in subject.domain.operations if o in programs.MOMENTA)


def run_program(subject: Subject, case: Case) -> Comparison:
    """Run the program of the case on one layer, and compare its outputs and statistics with the ledger."""
    assert subject.live is not None
    life = subject.live(case)
    return ProgramRun(subject, case, life, _started(case, life.state())).run()
