"""Variants of the faults that ordinary calls do not show, or only with some arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.floats import BFLOAT16, FLOAT32, Array
from normcheck.core.uses import EVALUATED, SECOND, asks
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault, FaultQuestion
from normcheck.normalizers.faults.backward import with_cotangent
from normcheck.normalizers.faults.history import clipped_evaluation, clipped_evaluation_gradient, copied_in
from normcheck.normalizers.faults.modes import filled
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.subject import Answer
from normcheck.normalizers.variants.variant import variant

LIMITS = (64.0, 256.0, 1024.0)
"""Limits at which people clip, in standard deviations, roughly."""


def _early_return(answer: Answer, question: FaultQuestion) -> Answer:
    """No parameter gets a gradient if the input needs none."""
    if asks(question.case.use)[0]:
        return answer
    zeros = {n: 0.0 * v for n in ("dweight", "dbias") if (v := getattr(answer, n)) is not None}
    return replace(answer, **zeros)


def _input_stopped(answer: Answer, question: FaultQuestion) -> Answer:
    """In evaluation mode the normalized input has no history: the parameters that follow have their gradients."""
    if question.case.use not in EVALUATED or answer.dx is None:
        return answer
    return replace(answer, dx=0.0 * answer.dx)


def _sum_of_first_axis(answer: Answer, question: FaultQuestion) -> Answer:
    """The sum over a flattened first axis: an input without an axis of cases is a single vector."""
    if answer.dweight is None or partition(question.normalizer, question.case).sets != 1:
        return answer
    return replace(answer, dweight=np.full(answer.dweight.shape, answer.dweight.sum()))


def _inverse_without_eps(question: FaultQuestion) -> Case:
    """The output is multiplied by the stored variance, as if 1 / v^2 were stored, without eps."""
    case = question.case
    if case.training or case.running_var is None:
        return case
    return case.but(running_var=1.0 / np.square(case.running_var), eps=0.0)


def _coarse_cotangent(dy: Array, case: Case) -> Array:
    """The cotangent is cast to bfloat16 as the output was."""
    return BFLOAT16.round(dy) if case.format == FLOAT32 else dy


def _both(
    first: Callable[[Answer, FaultQuestion], Answer], second: Callable[[Answer, FaultQuestion], Answer]
) -> Callable[[Answer, FaultQuestion], Answer]:
    return lambda answer, question: second(first(answer, question), question)


def _with_create_graph(*names: str) -> Callable[[Answer, FaultQuestion], Answer]:
    """With create_graph some arrays of the answer are wrong, by any factor."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        if question.case.use != SECOND:
            return answer
        return replace(answer, **{n: 1.5 * v for n in names if (v := getattr(answer, n)) is not None})

    return after


def of_rare_calls() -> Iterator[Fault]:
    """Variants that some calls show."""
    yield variant("create-graph-changes-gradient", after=_with_create_graph("dx", "jv", "ddx"))
    yield variant("second-derivative-without-weight", after=_with_create_graph("jv", "ddx"))
    yield variant("frozen-input-loses-dweight", after=_early_return)
    yield variant("evaluation-stops-gradient", after=_input_stopped)
    yield variant("copy-as-made", layer_hooks=copied_in(lambda made: FLOAT32))
    yield variant("vector-dweight-summed", after=_sum_of_first_axis)
    yield variant("eval-takes-inverse-deviation", before=_inverse_without_eps)
    yield variant("output-rounded-to-half", before=with_cotangent(_coarse_cotangent))
    for limit in LIMITS:
        output, gradient = clipped_evaluation(limit), clipped_evaluation_gradient(limit)
        yield variant("eval-clips", after=output)
        yield variant("eval-clips", after=_both(output, gradient))
        yield variant("eval-gradient-clipped", after=gradient)
    yield from (variant("weight-starts-elsewhere", constructed=filled("weight", value)) for value in (1.0, 0.1, 0.5))
