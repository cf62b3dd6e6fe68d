"""Comparisons that all checks share: the output and the gradients of a call against the reference, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from normcheck.core.compare import differ
from normcheck.core.errors import IN_BACKWARD, ON_SHAPES, CallError
from normcheck.core.floats import FLOAT64, Array
from normcheck.core.result import Comparison
from normcheck.normalizers.bounds import bounds, laws
from normcheck.normalizers.bounds.bounds import Accuracy
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, forward_bound, parameter_bound
from normcheck.normalizers.bounds.exactness import rounded_once
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import Truth, evaluate
from normcheck.normalizers.subject import Answer, Subject

Ask = Callable[[Subject, Case], Comparison]
"""The function of a check: compares what an implementation returns for a case with a law."""


def needs_gradient(subject: Subject) -> str:
    """Why a check of gradients cannot run; empty if it can."""
    return "" if subject.domain.gradient else f"no gradient: {subject.domain.absent.get('gradient', 'none offered')}"


def needs_parameters(subject: Subject) -> str:
    """Why gradients of parameters cannot be checked; empty if they can."""
    return needs_gradient(subject) or ("" if subject.domain.affine != ("none",) else "takes no parameters")


def needs_float64(subject: Subject) -> str:
    """Why a check of gradients in float64 cannot run; empty if it can."""
    return needs_gradient(subject) or (
        "" if FLOAT64.name in subject.domain.formats else f"does not serve {FLOAT64.name}"
    )


def has_cases(subject: Subject, case: Case) -> bool:
    """Whether the first axis of the input is that of training cases; all axes of a single set may be normalized."""
    layout, activation = subject.normalizer.sets.layout, subject.normalizer.acts_on == "activation"
    return activation and (layout == "channels" or case.x.ndim > case.normalized)


def truth_of(subject: Subject, case: Case) -> Truth:
    """The reference's answer to a case, under the conventions of the subject's contract.

    It does not depend on how arrays lie in memory and is computed once for all layouts.
    """
    plain = case.but(layouts={}, watched=False) if case.layouts or case.watched else case
    return evaluate(subject.normalizer, plain, subject.contract)


def answer_of(subject: Subject, case: Case, *, gradient: bool = False) -> Answer:
    """What the implementation returns for a case. Raises `CallError` if it raises."""
    return subject.call(case, gradient)


def resolved(truth: Truth, accuracy: Accuracy) -> Array:
    """Whether the set of each entry is conditioned well enough to be compared, of the input's shape."""
    return truth.partition.per_set(bounds.resolved(truth, accuracy))


def refused_or_raised(errors: Mapping[str, CallError]) -> dict[str, str]:
    """Reasons of the inputs that an implementation refuses, by shape.

    Raises a `CallError` with all shapes on which a backward pass raises: an input that is refused is refused at once.
    """
    backward = {shape: error for shape, error in errors.items() if IN_BACKWARD in error.reason}
    for error in backward.values():
        raise CallError(f"{error}{ON_SHAPES}{'; '.join(backward)}", error.reason)
    return {f"inputs {shape}": error.reason for shape, error in errors.items()}


def gradients_of(subject: Subject, case: Case) -> Answer:
    """What the implementation returns, with gradients. Raises `CallError` if it raises, or returns none."""
    answer = subject.call(case, True)
    if answer.dx is None:
        raise CallError(f"{subject.name} returned an output that does not require grad")
    return answer


def normalized_of(subject: Subject, truth: Truth, y: Array) -> tuple[Array, Array]:
    """The normalized input xh = (y - bias) / weight that an output implies, with its bound."""
    shift = 0.0 if truth.bias is None else truth.bias
    gain = 1.0 if truth.gain is None else truth.gain
    return (y - shift) / gain, laws.normalized(gain, forward_bound(subject, truth))


def output_within(subject: Subject, truth: Truth, y: Array, label: str) -> Comparison:
    """Compare the output of a call with the reference. label: what is particular about the call, for the law."""
    mask = resolved(truth, demanded(subject, truth.case))
    allowed, rounding = forward_bound(subject, truth), rounded_once(truth.case, truth.y)
    return differ(f"y, {label}", y, truth.y, allowed, mask, rounding=rounding)


def gradients_within(
    subject: Subject, truth: Truth, answer: Answer, label: str, wanted: tuple[bool, bool, bool] = (True, True, True)
) -> Iterator[Comparison]:
    """Compare the gradients of a call with the reference; wanted: whether input, weight and bias must have one."""
    accuracy = demanded(subject, truth.case, backward=True)
    if wanted[0]:
        assert truth.dx is not None
        got = np.full(truth.dx.shape, np.nan) if answer.dx is None else answer.dx
        allowed = backward_bound(subject, truth)
        rounding = rounded_once(truth.case, truth.dx)
        yield differ(f"dx, {label}", got, truth.dx, allowed, resolved(truth, accuracy), rounding=rounding)
    read = truth.partition.collect(truth.partition.per_set((~bounds.resolved(truth, accuracy)).astype(float))) == 0
    for name, bias, must in (("dweight", False, wanted[1]), ("dbias", True, wanted[2])):
        expected, got = getattr(truth, name), getattr(answer, name)
        if expected is None or not must:
            continue
        got = np.full(expected.shape, np.nan) if got is None else got
        allowed = parameter_bound(subject, truth, bias=bias)
        rounding = rounded_once(truth.case, expected)
        yield differ(f"{name}, {label}", got, expected, allowed, None if bias else read, rounding=rounding)


def near(subject: Subject, case: Case, one: Answer | None, other: Answer | None) -> bool:
    """Whether two answers to a case differ by no more than an answer may from the reference; None if a call raised."""
    if one is None or other is None:
        return one is other
    held = replace(truth_of(subject, case), y=other.y, dx=other.dx, dweight=other.dweight, dbias=other.dbias)
    found = [output_within(subject, held, one.y, "")]
    found.extend(() if other.dx is None else gradients_within(subject, held, one, ""))
    return all(comparison.holds for comparison in found)
