"""Faults of code that normalizes queries and keys. Faults only where the contract declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import divides_activations, weighted_activations
from normcheck.normalizers.forms import BY_KEY, OTHER_QUERY
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

_QK = Contract(form="qk")

Keys = Callable[[FaultQuestion], tuple[Array, Array | None]]
"""Other keys that are returned, and the gradient of the keys."""


def _keys(of: Keys) -> Callable[[Answer, FaultQuestion], Answer]:
    def after(answer: Answer, question: FaultQuestion) -> Answer:
        if question.case.use != BY_KEY:
            return answer
        y, dx = of(question)
        return replace(answer, y=y, dx=None if answer.dx is None else dx)

    return after


def _as_given(question: FaultQuestion) -> tuple[Array, Array | None]:
    return question.case.x, question.case.dy


def _with_weight_of_query(question: FaultQuestion) -> tuple[Array, Array | None]:
    """The weight of the queries is half of that of the keys."""
    case, contract = question.case.but(use=PLAIN), question.contract
    weight = None if case.weight is None else case.weight * 0.5
    truth = evaluate(question.normalizer, case.but(weight=weight), contract)
    return truth.y, truth.dx


def _queries(question: FaultQuestion) -> tuple[Array, Array | None]:
    """The norm of the queries, whose gradient does not reach the keys."""
    case = question.case
    weight = None if case.weight is None else case.weight * 0.5
    other = case.but(use=PLAIN, x=case.format.round(case.x * OTHER_QUERY), weight=weight, dy=None)
    return evaluate(question.normalizer, other, question.contract).y, np.zeros(case.x.shape)


FAULTS = (
    Fault(
        name="keys-not-normalized",
        story="Normalizes the queries and returns the keys as they came. Hides in tests of the queries.",
        source="constructed",
        concerns=divides_activations,
        under=_QK,
        after=_keys(_as_given),
    ),
    Fault(
        name="keys-with-weight-of-queries",
        story="Multiplies the keys by the weight of the queries. Hides where both weights are 1.",
        source="constructed",
        concerns=weighted_activations,
        under=_QK,
        after=_keys(_with_weight_of_query),
    ),
    Fault(
        name="keys-are-queries",
        story="Returns the normalized queries twice. Hides in tests that give the same array as both.",
        source="constructed",
        concerns=divides_activations,
        under=_QK,
        after=_keys(_queries),
    ),
)
