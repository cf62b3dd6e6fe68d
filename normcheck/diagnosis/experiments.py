"""Questions to an implementation, and the observations of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import numpy as np

from normcheck.core import uses
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.uses import JVP, SECOND, WIDE
from normcheck.diagnosis.observation import ARRAYS, CHANGED, FORMAT, Observation, near
from normcheck.normalizers import faults
from normcheck.normalizers.bounds import bounds, derivatives
from normcheck.normalizers.bounds import forms as in_form_bounds
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, forward_bound
from normcheck.normalizers.bounds.quantized import coarse, step_of_largest
from normcheck.normalizers.case import Case
from normcheck.normalizers.forms import ways
from normcheck.normalizers.quantization import quantized
from normcheck.normalizers.reference import forms as in_form
from normcheck.normalizers.reference import oracle
from normcheck.normalizers.reference.oracle import Truth, evaluate, second, tangent
from normcheck.normalizers.subject import Answer, Call, Domain, Subject

LARGE = 50_000
"""Entries of an input from which on a question is so slow that one wrong answer to such a question is enough."""

BOUNDS = {"y": bounds.forward, "dx": bounds.backward, "jv": derivatives.tangent, "ddx": derivatives.second}
"""The bounds of arrays with an entry for each entry of the input."""

WITHOUT_ALL = (*uses.WITHOUT_GRADIENT, *uses.CHANGED, *uses.FUNCTIONAL, *uses.WITHOUT_BACKWARD, JVP)
"""Uses that do not return the gradients of input, weight and bias."""

STEP = 2.0**-23
"""By how much the input is moved, relatively, to see whether an error is noise: about one rounding of float32."""

SHARE = 2.0**-8
"""And by how much of the standard deviation of its set."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A case, whether gradients are computed, and the check that it was recorded from; "" for a standard case."""

    case: Case
    gradient: bool = True
    from_check: str = ""

    @property
    def size(self) -> int:
        """Entries of the input."""
        return int(self.case.x.size)

    @property
    def wide(self) -> bool:
        """Whether it is a standard case in a format in which rounding is small."""
        return not (self.from_check or self.case.format.narrow or "rounding" in self.case.drawn)

    def answer(self, call: Call) -> Answer | None:
        """What a call returns for it; None where the call raises `CallError`."""
        try:
            with quiet():
                return call(self.case, self.gradient)
        except CallError:
            return None


@dataclass(frozen=True, eq=False)
class Experiment:
    """A question that the implementation answered, and the observations of its answer."""

    subject: Subject
    question: Question
    observations: tuple[Observation, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything of the answer is wrong."""
        return any(one.wrong for one in self.observations)

    @property
    def size(self) -> int:
        """Entries of the input."""
        return self.question.size

    @property
    def large(self) -> bool:
        """Whether its question is slow to answer."""
        return self.size > LARGE

    @cached_property
    def nudged(self) -> Question:
        """The question with every entry of input and cotangent moved by some roundings and a little of its deviation.

        By roundings alone noise that takes few values, as that of a variance which cancels to a multiple of one
        rounding, often stays what it is.
        """
        case = self.question.case
        rng = np.random.default_rng(11)
        step = max(STEP, 2.0 * case.format.u)
        part = oracle.partition(self.subject.normalizer, case)

        def moved(array: Array) -> Array:
            sets = part.gather(array)
            by = step * np.abs(sets) + SHARE * sets.std(axis=1, keepdims=True)
            return case.format.round(part.scatter(sets + by * rng.uniform(-2.0, 2.0, sets.shape)))

        return replace(self.question, case=case.but(x=moved(case.x), dy=None if case.dy is None else moved(case.dy)))

    @cached_property
    def right_when_nudged(self) -> Answer | None:
        """The right answer to the nudged question."""
        right = faults.subject(self.subject.normalizer, contract=self.subject.contract)
        return self.nudged.answer(right.call)


def experiments(
    subject: Subject, questions: Iterable[Question], *, wrong_only: bool = False, most_wrong: float = inf
) -> Iterator[Experiment]:
    """Ask questions, until so many answers are wrong or one to a large question is; those that raise are left out."""
    for question in questions:
        answer = question.answer(subject.call)
        if answer is None:
            continue
        found = Experiment(subject, question, tuple(observations(subject, question, answer)))
        if found.wrong or not wrong_only:
            yield found
        most_wrong -= found.wrong
        if not most_wrong or (found.wrong and found.large):
            return


def answered(call: Call, question: Question) -> Answer | None:
    """What a call returns; None to a question for which its fault has no meaning."""
    try:
        return question.answer(call)
    except (ArithmeticError, ValueError, IndexError):
        return None


def observations(subject: Subject, question: Question, answer: Answer) -> Iterator[Observation]:
    """All that an answer contains, each array and word beside what it should be."""
    case = question.case
    truth = evaluate(subject.normalizer, case if question.gradient else case.but(dy=None), subject.contract)
    none = np.zeros((), dtype=bool)
    requested = _requested(subject.domain, question)
    for name in ARRAYS:
        got = getattr(answer, name)
        if got is None and name in requested:
            shape = getattr(case, name[1:]).shape
            got = np.zeros(shape)  # what has no gradient is trained as if that were 0
        if got is None or (name in ("jv", "ddx") and case.use not in (JVP, SECOND)):
            continue
        right = _right(subject, truth, name)
        if right is None:
            continue
        got = np.array(got)  # it may lie in the implementation's own memory, which the next call overwrites
        expected, allowed, counted = right
        if got.shape != expected.shape:
            yield Observation(name, truth, got, expected, none, none, wrong=True)
            continue
        wrong = not near(got, expected, allowed, counted)
        plain = name == "y" and case.use not in ways(subject.contract.form)
        of = quantized(subject.contract.form) if plain else None
        jump = 0.0 if of is None else step_of_largest(of, expected)
        yield Observation(name, truth, got, expected, allowed, counted, wrong, jump)
    if case.use != WIDE:  # a parameter in a wider format may make the output as wide: no law is broken
        wrong = answer.format != case.format.name
        yield Observation(FORMAT, truth, answer.format, case.format.name, none, none, wrong)
    if case.watched:
        yield Observation(CHANGED, truth, answer.changed, (), none, none, bool(answer.changed))


def _requested(domain: Domain, question: Question) -> tuple[str, ...]:
    """The gradients that a call should return."""
    case = question.case
    offered = domain.gradient and (case.training or domain.evaluation_gradient)
    if not (offered and question.gradient) or case.use in WITHOUT_ALL:
        return ()
    pairs = zip(("dx", "dweight", "dbias"), uses.asks(case.use), (case.x, case.weight, case.bias), strict=True)
    return tuple(name for name, asked, array in pairs if asked and array is not None)


def _right(subject: Subject, truth: Truth, name: str) -> tuple[Array, Array, Array] | None:
    """The right value of an array of the answer, what rounding may change in it, and which of its entries count."""
    contract, case = subject.contract, truth.case
    if case.use in ways(contract.form):
        return _right_in_form(subject, truth, name)
    if name == "jv":
        expected: Array | None = tangent(truth, contract)
    elif name == "ddx":
        expected = second(subject.normalizer, case, contract)
    else:
        expected = getattr(truth, name)
    if expected is None:
        return None
    forward = name in ("y", "running_mean", "running_var")
    accuracy = demanded(subject, case, backward=not forward)
    counted = np.ones(expected.shape, dtype=bool)
    with np.errstate(all="ignore"):
        if name in ("dweight", "dbias"):
            allowed = bounds.parameter(truth, accuracy, bias=name == "dbias").total
        elif name in ("running_mean", "running_var") and not case.training:
            allowed = 4.0 * case.format.u * np.abs(expected)
        elif name in ("running_mean", "running_var"):
            allowed = bounds.running(truth, accuracy, variance=name == "running_var").total
        else:
            allowed = np.broadcast_to(BOUNDS[name](truth, accuracy).total, expected.shape)
            counted = truth.partition.per_set(bounds.resolved(truth, accuracy))
    of = quantized(contract.form) if name == "y" else None
    allowed = allowed if of is None else allowed + coarse(of, expected)
    allowed = contract.bound_multiplier * np.where(np.isnan(allowed), np.inf, allowed)
    return expected, allowed, counted | ~np.isfinite(expected)


def _right_in_form(subject: Subject, truth: Truth, name: str) -> tuple[Array, Array, Array] | None:
    """The same for a further way to call code of a form, which changes the meaning of output and gradient."""
    case, use = truth.case, truth.case.use
    forward, counted = (
        forward_bound(subject, truth),
        in_form.compared(use, truth.partition.per_set(bounds.resolved(truth, demanded(subject, case)))),
    )
    if name == "y":
        allowed = in_form_bounds.output(use, truth.y, forward, case, subject.contract.form)
        return in_form.output(use, truth.y, case), allowed, counted
    if name != "dx" or truth.dx is None:
        return None
    plain = evaluate(subject.normalizer, in_form.pulled(use, truth.y, case), subject.contract)
    assert plain.dx is not None
    expected, both = in_form.input_gradient(use, truth.y, plain.dx, case), (forward, backward_bound(subject, plain))
    return expected, in_form_bounds.input_gradient(use, plain, both, case), counted
