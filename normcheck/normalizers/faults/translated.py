"""Faults of programs that a tool makes of the code, where the contract demands them: each plain call is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.contract import Contract
from normcheck.core.floats import FLOAT16
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import NONE, Fault, FaultQuestion, subject
from normcheck.normalizers.faults.forward import one_pass, with_eps
from normcheck.normalizers.faults.structure import activations, any_of_them, has_eps, standardizes, stateful
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer

PROGRAMS = {
    "compiled": (uses.COMPILED, uses.COMPILED_FOR_BATCHES),
    "exported": (uses.EXPORTED_FOR_ONE, uses.EXPORTED_FOR_ANY),
    "onnx": (uses.ONNX_FOR_ONE, uses.ONNX_FOR_ANY),
}
"""The ways of calling each program, by its name in `Contract.translated`."""

FOR_ANY = (uses.COMPILED_FOR_BATCHES, uses.EXPORTED_FOR_ANY, uses.ONNX_FOR_ANY)
"""Calls of programs that were made with another number of cases."""

Change = Callable[[Answer, FaultQuestion], Answer]

_WITHOUT_EPS = replace(NONE, before=with_eps(lambda eps: 0.0))
_IN_ONE_PASS = replace(NONE, steps=lambda steps: replace(steps, variance=one_pass))
_EPS_IN_HALF = replace(NONE, before=with_eps(lambda eps: float(FLOAT16.round(np.asarray(eps)))))


def _as(other: Fault) -> Change:
    """The answer of code that has another fault wherever it is called."""

    def change(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        return subject(question.normalizer, other, question.contract).call(
            case.but(use=uses.PLAIN), case.dy is not None
        )

    return change


def _of_another_input(answer: Answer, question: FaultQuestion) -> Answer:
    """The output that belongs to the input with which the program was made."""
    return _as(replace(NONE, before=lambda asked: _other_values(asked.case)))(answer, question)


def _other_values(case: Case) -> Case:
    return case.but(x=case.format.round(0.5 - 1.5 * case.x))


def _of_more_cases(answer: Answer, question: FaultQuestion) -> Answer:
    """What is divided by the number of cases, where that is still the one of the first batch."""
    rows = len(question.case.x)
    return replace(answer, y=answer.y * rows / (rows + 1))


def _halved_gradient(answer: Answer, question: FaultQuestion) -> Answer:
    return answer if answer.dx is None else replace(answer, dx=0.5 * answer.dx)


def _kept_statistics(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    return replace(answer, running_mean=case.running_mean, running_var=case.running_var)


def _fault(name: str, story: str, source: str, change: Change, *, of: tuple[str, ...] = FOR_ANY + uses.SLOW,
           concerns: Callable[[Normalizer], bool] = any_of_them) -> Fault:  # fmt: skip
    """A fault of the program with which its name begins. of: the ways of calling in which it shows."""
    program = name.partition("-")[0]
    shown = tuple(use for use in PROGRAMS[program] if use in of)

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        return change(answer, question) if question.case.use in shown else answer

    under = Contract(translated=(program,))
    return Fault(name=name, story=story, source=source, concerns=concerns, where="use", under=under, after=after)


FAULTS = (
    _fault(
        "compiled-drops-eps",
        "Asks whether it is being compiled and takes a shorter path then, which has no eps.",
        "constructed", _as(_WITHOUT_EPS), concerns=has_eps,
    ),
    _fault(
        "compiled-variance-in-one-pass",
        "The path for the compiler computes the variance as E[x^2] - E[x]^2, so that one pass over the data is enough.",
        "pytorch/pytorch#143182", _as(_IN_ONE_PASS), concerns=standardizes,
    ),
    _fault(
        "compiled-gradient-differs",
        "The backward of a custom function is right when it is called, and another one when it is traced.",
        "pytorch/pytorch#180642", _halved_gradient,
    ),
    _fault(
        "compiled-keeps-statistics",
        "The update of the running statistics gets lost on the way into the compiled graph: training leaves them as "
        "they were.",
        "constructed", _kept_statistics, concerns=stateful,
    ),
    _fault(
        "compiled-freezes-batch",
        "The number of cases of the first batch stays in the compiled code as a constant.",
        "roboflow/rf-detr#871", _of_more_cases, of=FOR_ANY, concerns=activations,
    ),
    _fault(
        "exported-drops-eps",
        "The path for the exporter has no eps.",
        "constructed", _as(_WITHOUT_EPS), concerns=has_eps,
    ),
    _fault(
        "exported-freezes-values",
        "A number that depends on the input is read in Python, and becomes a constant of the exported program.",
        "pytorch/pytorch#18525", _of_another_input,
    ),
    _fault(
        "exported-freezes-batch",
        "The number of cases of the example becomes a constant of the exported program.",
        "roboflow/rf-detr#871", _of_more_cases, of=FOR_ANY, concerns=activations,
    ),
    _fault(
        "onnx-drops-eps",
        "The exported model has no eps, or one that is 0 in its format.",
        "pytorch/pytorch#86580", _as(_WITHOUT_EPS), concerns=has_eps,
    ),
    _fault(
        "onnx-rounds-eps",
        "eps is a number of half precision in the exported model, whatever the format of the input.",
        "pytorch/pytorch#86580", _as(_EPS_IN_HALF), concerns=has_eps,
    ),
    _fault(
        "onnx-variance-in-one-pass",
        "The exported model computes the variance as E[x^2] - E[x]^2.",
        "pytorch/pytorch#60582", _as(_IN_ONE_PASS), concerns=lambda n: standardizes(n) and not n.state,
    ),
    _fault(
        "onnx-freezes-values",
        "A number that depends on the input is read in Python, and becomes a constant of the exported model.",
        "pytorch/pytorch#18525", _of_another_input,
    ),
    _fault(
        "onnx-freezes-batch",
        "The number of cases of the example becomes a constant of the exported model.",
        "roboflow/rf-detr#871", _of_more_cases, of=FOR_ANY, concerns=activations,
    ),
)  # fmt: skip
