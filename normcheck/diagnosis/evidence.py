"""What an implementation answered on a few telling cases, and whether another answer is the same within the bound.

An item is one array of one answer (or one word about it) beside the right one and what rounding may change. A
prediction agrees with an item if it reproduces it within the bound of the right answer, enlarged as the square of
what the fault enlarges, for a scale that is too small by r makes both an array and its conditioning r times larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.uses import JVP, PLAIN, SECOND
from normcheck.normalizers.bounds import bounds, derivatives
from normcheck.normalizers.bounds.contracted import demanded
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import truth_of
from normcheck.normalizers.reference import oracle
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.subject import Answer, Call, Subject

FORWARD = ("y", "format")
ARRAYS = ("y", "dx", "dweight", "dbias", "running_mean", "running_var", "jv", "ddx")

INFORMATIVE = 0.02
"""A prediction must be as near as this share of what is wrong, however much its bound was enlarged."""

SLIGHT = 0.05
"""Rounding noise that is smaller than this, relatively, may be missing in a sum."""

ALIKE = 24.0
"""Errors that are rounding noise are alike if their sizes differ by no more than this factor."""

STEP = 2.0**-23
"""By how much the input is moved, relatively, to see whether an error is noise: about one rounding of float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A case, whether gradients are asked, and the check whose question it is; none for one of the battery."""

    case: Case
    gradient: bool = True
    told: str = ""

    @property
    def wide(self) -> bool:
        """Whether it is an ordinary question in a format in which rounding is small."""
        return not (self.told or self.case.format.narrow or "rounding" in self.case.drawn)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One array of one answer: as observed, as it should be, and what may lie between."""

    name: str
    truth: Truth
    observed: Any
    expected: Any
    allowed: Array
    counted: Array
    wrong: bool

    @property
    def kind(self) -> tuple[str, str]:
        """What is asked, and how: two items of one kind show the same faults."""
        case = self.truth.case
        laid = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if name != "contiguous")
        way = case.use if case.use != PLAIN else laid
        return self.name, way or ("watched" if case.watched else PLAIN if case.training else "evaluation")


def _sizes(truth: Truth, array: Array) -> Array:
    """The largest size in each set, at every entry; of a parameter's gradient, the largest of all."""
    size = np.where(np.isfinite(array), np.abs(array), 0.0)
    if array.shape != truth.case.x.shape or not array.size:
        return np.full(array.shape, size.max() if size.size else 0.0)
    out: Array = truth.partition.per_set(truth.partition.gather(size).max(axis=1))
    return out


def _near(one: Array, other: Array, limit: Array, counted: Array) -> bool:
    """Whether two arrays are within a limit wherever it counts; what is no number is near to what is none."""
    with np.errstate(all="ignore"):
        good = np.where(np.isfinite(one) & np.isfinite(other), np.abs(one - other) <= limit, False)
    good |= ~np.isfinite(one) & ~np.isfinite(other)
    return bool(np.all(good | ~counted))


def _allowed(subject: Subject, truth: Truth, name: str, expected: Array) -> tuple[Array, Array]:
    """What rounding may change in an array, and which of its entries count."""
    case = truth.case
    accuracy = demanded(subject, case, backward=name not in ("y", "running_mean", "running_var"))
    whole = np.ones(expected.shape, dtype=bool)
    if name in ("dweight", "dbias"):
        return bounds.parameter(truth, accuracy, bias=name == "dbias").total, whole
    if name.startswith("running"):
        if not case.training:
            return 4.0 * case.format.u * np.abs(expected), whole
        return bounds.running(truth, accuracy, variance=name == "running_var").total, whole
    bound = {"y": bounds.forward, "dx": bounds.backward, "jv": derivatives.tangent, "ddx": derivatives.second}[name]
    counted = truth.partition.per_set(bounds.resolved(truth, accuracy))
    return np.broadcast_to(bound(truth, accuracy).total, expected.shape), counted


def _expected(subject: Subject, truth: Truth, name: str) -> Array | None:
    if name == "jv":
        return oracle.tangent(truth, subject.contract)
    if name == "ddx":
        return oracle.second(subject.normalizer, truth.case, subject.contract)
    value: Array | None = getattr(truth, name)
    return value


def items(subject: Subject, question: Question, answer: Answer) -> Iterator[Observation]:
    """All that an answer says, each beside what it should say."""
    case = question.case
    truth = truth_of(subject, case if question.gradient else case.but(dy=None))
    none = np.zeros((), dtype=bool)
    for name in ARRAYS:
        got = getattr(answer, name)
        if got is None or (name in ("jv", "ddx") and case.use not in (JVP, SECOND)):
            continue
        expected = _expected(subject, truth, name)
        if expected is None:
            continue
        got = np.array(got)  # it may lie in the implementation's own memory, which the next call overwrites
        if got.shape != expected.shape:
            yield Observation(name, truth, got, expected, none, none, wrong=True)
            continue
        with np.errstate(all="ignore"):
            allowed, counted = _allowed(subject, truth, name, expected)
        allowed = subject.contract.bound_multiplier * np.where(np.isnan(allowed), np.inf, allowed)
        counted = counted | ~np.isfinite(expected)
        wrong = not _near(got, expected, allowed, counted)
        yield Observation(name, truth, got, expected, allowed, counted, wrong)
    wrong = answer.format != case.format.name
    yield Observation("format", truth, answer.format, case.format.name, none, none, wrong)
    if case.watched:
        yield Observation("changed", truth, answer.changed, (), none, none, bool(answer.changed))


def agrees(item: Observation, prediction: Any) -> bool:
    """Whether a prediction reproduces what was observed."""
    if item.name == "format":
        return bool(prediction == item.observed)
    if item.name == "changed":
        return bool(prediction) == bool(item.observed) and _heads(prediction) <= _heads(item.observed)
    if prediction is None or prediction.shape != item.observed.shape:
        return False
    if prediction.shape != item.expected.shape:
        return True
    if _near(item.observed, prediction, item.allowed, item.counted):
        return True
    return item.wrong and _near(item.observed, prediction, _enlarged(item, prediction), item.counted)


def _heads(said: Sequence[str]) -> set[str]:
    """What changed; what follows a colon is particular to the code."""
    return {one.partition(":")[0] for one in said}


def _enlarged(item: Observation, prediction: Array) -> Array:
    """The bound of the right answer as the fault enlarges it, never so far that anything would agree."""
    with np.errstate(all="ignore"):
        grown = _sizes(item.truth, prediction) / _sizes(item.truth, item.expected)
        grown = np.where(np.isfinite(grown), np.maximum(grown, 1.0), 1.0)
        limit = item.allowed * np.square(grown)
        off = np.abs(item.observed - item.expected)
        most = INFORMATIVE * np.where(np.isfinite(off), off, 0.0).max(initial=0.0)
    whole = np.abs(prediction[np.isfinite(prediction)]).max(initial=0.0)
    limit = limit + 64.0 * item.truth.case.format.u * whole  # another conditioning may take its scale from any entry
    out: Array = np.minimum(limit, np.maximum(item.allowed, most))
    return out


def deviates(item: Observation, prediction: Any) -> bool:
    """Whether a prediction differs from the right answer by more than rounding may."""
    if item.name in ("format", "changed"):
        return bool(prediction != item.expected)
    if prediction is None or prediction.shape != item.expected.shape:
        return True
    return not _near(prediction, item.expected, item.allowed, item.counted)


def _spread(error: Array, counted: Array) -> float:
    used = error[counted & np.isfinite(error)]
    return float(np.sqrt(np.square(used).mean())) if used.size else 0.0


def unlike(item: Observation, prediction: Any, moved: Array | None, moved_truth: Array | None) -> float | None:
    """By how many powers of two two errors that are noise differ in size; None where they are not alike.

    moved: the fault's answer to a slightly moved input, moved_truth: the right one. An error that jumps as the
    input moves a hair is noise, which no other code reproduces; what can be compared is where and how large it is.
    """
    if item.name in ("format", "changed") or prediction is None or moved is None or moved_truth is None:
        return None
    if prediction.shape != item.expected.shape or item.observed.shape != item.expected.shape:
        return None
    with np.errstate(all="ignore"):
        ours, theirs = prediction - item.expected, item.observed - item.expected
        jump = (moved - moved_truth) - ours
        lost = [bool((~np.isfinite(a) & np.isfinite(item.expected) & item.counted).any()) for a in (ours, theirs)]
        if lost[0] != lost[1] or not (item.wrong and deviates(item, prediction)):
            return None
        sizes = [_spread(a, item.counted) for a in (jump, ours, theirs)]
    if sizes[0] < 0.1 * sizes[1]:  # a systematic error with noise on it
        limit = _enlarged(item, prediction) + 16.0 * sizes[0]
        return 0.0 if _near(item.observed, prediction, limit, item.counted) else None
    if min(sizes[1:]) == 0.0:
        return 0.0 if lost[0] else None
    ratio = sizes[2] / sizes[1]
    return abs(float(np.log2(ratio))) if 1.0 / ALIKE <= ratio <= ALIKE else None


def excused(item: Observation, prediction: Any) -> bool:
    """Whether rounding noise that a fault predicts in a sum may be missing there: the sum may be taken elsewhere."""
    if item.name not in ("dweight", "dbias", "running_mean", "running_var") or item.wrong or prediction is None:
        return False
    if prediction.shape != item.expected.shape:
        return False
    return _spread(prediction - item.expected, item.counted) <= SLIGHT * _spread(item.expected, item.counted)


def nudged(question: Question) -> Question:
    """The question with every entry of input and cotangent moved by a rounding or two."""
    case = question.case
    rng = np.random.default_rng(11)
    step = max(STEP, 2.0 * case.format.u)

    def moved(array: Array) -> Array:
        return case.format.round(array * (1.0 + step * rng.uniform(-2.0, 2.0, array.shape)))

    return replace(question, case=case.but(x=moved(case.x), dy=None if case.dy is None else moved(case.dy)))


def answer(call: Call, question: Question) -> Answer | None:
    """What is answered to a question, None where it raises."""
    try:
        with quiet():
            return call(question.case, question.gradient)
    except CallError:
        return None
