"""Faults of code whose cases have weights of their own. Faults only where the contract declares that form.

The units of each case are in an order of their own there (`frameworks.forms.modulated`): in the reduced problem a unit
of a case that gets the parameters of the first case gets those of another unit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.normalizers import forms
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.reference.standardize import Steps
from normcheck.normalizers.subject import Answer


def _has_weights(n: Normalizer) -> bool:
    return n.weight and not forms.refusal(forms.MODULATED, n)


def _moved(full: Array, units: int, step: int) -> Array:
    """An array of the input's shape with the units of each case moved on by `step` times the number of the case."""
    out: Array = full[tuple(forms.moved_units(full.shape, units, step))]
    return out


def _first(x: Array, parameter: Array | None) -> Array | None:
    """What the first case's parameters are for each entry of the input."""
    if parameter is None or x.ndim < 2:
        return parameter
    channels = all(size == 1 for size in parameter.shape[1:])
    units = x.ndim - parameter.ndim if channels else x.ndim - 1
    return _moved(np.broadcast_to(parameter, x.shape), units, -1)


def _with_first(steps: Steps) -> Steps:
    return replace(
        steps,
        affine=lambda xh, weight, bias: steps.affine(xh, _first(xh, weight), _first(xh, bias)),
        cotangent=lambda dy, weight: steps.cotangent(dy, _first(dy, weight)),
    )


def _all_for_first(answer: Answer, question: FaultQuestion) -> Answer:
    """The first case's parameters get the gradients of all cases."""
    case = question.case
    if case.dy is None or case.x.ndim < 2:
        return answer
    truth = evaluate(question.normalizer, case, question.contract)
    units = 1 if question.normalizer.sets.layout == "channels" else case.x.ndim - 1
    sums = {
        "dweight": truth.partition.collect(_moved(case.dy * truth.xh, units, 1)),
        "dbias": truth.partition.collect(_moved(np.asarray(case.dy), units, 1)),
    }
    return replace(answer, **{name: value for name, value in sums.items() if getattr(answer, name) is not None})  # type: ignore[arg-type]  # arrays, by these names


def _exchanged(question: FaultQuestion) -> Case:
    case = question.case
    return case if case.weight is None or case.bias is None else case.but(weight=case.bias, bias=case.weight)


def _gradients_exchanged(answer: Answer, question: FaultQuestion) -> Answer:
    both = question.case.weight is not None and question.case.bias is not None
    return replace(answer, dweight=answer.dbias, dbias=answer.dweight) if both else answer


FAULTS = (
    Fault(
        name="first-case-modulates-all",
        story="The weight and bias of the first case are used for every case. Hides where all cases are alike, and in "
        "batches of one.",
        source="vllm-project/vllm-omni#1537",
        concerns=_has_weights,
        under=Contract(form="modulated"),
        steps=_with_first,
        after=_all_for_first,
    ),
    Fault(
        name="scale-and-shift-exchanged",
        story="Takes the shift of each case for its scale, and the reverse: they come from one array that is split in "
        "two. Hides where both are alike.",
        source="constructed",
        concerns=lambda n: _has_weights(n) and n.bias,
        under=Contract(form="modulated"),
        before=_exchanged,
        after=_gradients_exchanged,
    ),
)
