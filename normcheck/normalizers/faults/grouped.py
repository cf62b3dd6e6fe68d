"""Faults of code that normalizes groups of the last axis. Faults only where the contract declares them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import divides_activations
from normcheck.normalizers.grouped import GROUPS, grouped, plain_answer
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

_GROUPED = Contract(form="groups")


def _of_groups(n: Normalizer) -> bool:
    return divides_activations(n) and n.sets.layout == "trailing" and n.independent


def _weighted_groups(n: Normalizer) -> bool:
    return _of_groups(n) and n.weight


def _whole_rows(question: FaultQuestion) -> Case:
    """The case of wide rows, each of which is one set."""
    case = question.case
    return case if case.normalized != 1 or not case.x.size else grouped(case, full=True, own=False)


def _as_plain(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    if case.normalized != 1 or not case.x.size:
        return answer
    return plain_answer(answer, case, full=True, own=False)


def _first_weight(answer: Answer, question: FaultQuestion) -> Answer:
    """The answer where the groups have the weight of the first, half of their own in the second."""
    case = question.case
    if case.weight is None or case.normalized != 1 or not case.x.size:
        return answer
    rows = case.x.size // case.x.shape[-1]
    factors = np.exp2(-(np.arange(rows) % GROUPS)).reshape(*case.x.shape[:-1], 1)
    shift = 0.0 if case.bias is None else case.bias
    scaled: dict[str, Array] = {"y": (answer.y - shift) * factors + shift}
    for name in ("dx", "jv", "ddx"):
        if (value := getattr(answer, name)) is not None:
            scaled[name] = value * factors
    if answer.dweight is not None and case.dy is not None:
        lowered = case.but(use=PLAIN, dy=case.dy * factors)  # the weight of the first group gets the gradient of all
        scaled["dweight"] = cast("Array", evaluate(question.normalizer, lowered, question.contract).dweight)
    return replace(answer, **scaled)  # type: ignore[arg-type]  # arrays, by the names above


FAULTS = (
    Fault(
        name="groups-of-width-ignored",
        story="Takes the statistics of the whole row, where each of its groups has its own. Hides where there is one "
        "group, as on one device.",
        source="state-spaces/mamba#547",
        concerns=_of_groups,
        under=_GROUPED,
        before=_whole_rows,
        after=_as_plain,
    ),
    Fault(
        name="weight-of-first-group",
        story="Multiplies every group by the weight of the first, where the weight is as wide as the row. Hides where "
        "the weight is 1.",
        source="constructed",
        concerns=_weighted_groups,
        under=_GROUPED,
        after=_first_weight,
    ),
)
