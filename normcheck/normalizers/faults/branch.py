"""Faults of what is done to the input before a residual is added. Faults only where the contract declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers import forms
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.forms import of_branch_bias
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

_BIAS, _DROPOUT = Contract(form="add+branch-bias"), Contract(form="add+dropout")

Change = Callable[[FaultQuestion], Answer]
"""Another answer; what it lacks is as it was."""


def _biased(n: Normalizer) -> bool:
    return n.scaled and n.acts_on == "activation" and forms.per_case(n)


def _dropped(n: Normalizer) -> bool:
    return n.scaled and n.acts_on == "activation" and not n.state


def _under(changes: dict[str, Change]) -> Callable[[Answer, FaultQuestion], Answer]:
    def after(answer: Answer, question: FaultQuestion) -> Answer:
        change = changes.get(question.case.use)
        if change is None:
            return answer
        other = change(question)
        both = [(name, getattr(answer, name), getattr(other, name)) for name in ("dx", "dweight", "dbias")]
        found: dict[str, Any] = {name: new for name, old, new in both if old is not None and new is not None}
        return replace(answer, y=other.y, **found)

    return after


def _of(question: FaultQuestion, total: Array) -> Answer:
    """The right answer of the normalizer to a sum."""
    case = question.case
    truth = evaluate(question.normalizer, case.but(use=PLAIN, x=case.format.round(total)), question.contract)
    return Answer(truth.y, case.format.name, truth.dx, truth.dweight, truth.dbias)


def _answer(question: FaultQuestion, y: Array, dx: Array | None) -> Answer:
    return Answer(y, question.case.format.name, dx)


def _rest(case: Case) -> Array:
    """What the input holds of the first case, in the further ways of a branch bias."""
    return np.asarray((1.0 - forms.biased(case.x.shape)) * forms.first_case(case.x))


def _bias(case: Case) -> Array:
    return np.asarray(forms.biased(case.x.shape) * forms.first_case(case.x))


def _summed(gradients: Array | None, factor: float = 1.0) -> Array | None:
    return None if gradients is None else factor * of_branch_bias(gradients)


def _normalized(question: FaultQuestion, times: float = 1.0) -> Answer:
    """The answer where the bias is added so many times before the normalizer."""
    found = _of(question, _rest(question.case) + times * _bias(question.case))
    return _answer(question, found.y, _summed(found.dx, times))


def _sum(question: FaultQuestion, times: float = 1.0) -> Answer:
    """The new residual with so many times the bias."""
    case = question.case
    total = _rest(case) + times * _bias(case) + forms.other_residual(_rest(case), case.format)
    return _answer(question, case.format.round(total), _summed(case.dy, times))


_WITHOUT, _SUM_WITHOUT = partial(_normalized, times=0.0), partial(_sum, times=0.0)


def _added_after(question: FaultQuestion) -> Answer:
    case = question.case
    return _answer(question, _WITHOUT(question).y + _bias(case), _summed(case.dy))


def _gradient_changed(change: Callable[[Array], Array]) -> Callable[[Answer, FaultQuestion], Answer]:
    """The right outputs, with another gradient of the bias."""

    def changed(of: Change, question: FaultQuestion) -> Answer:
        found = of(question)
        return found if found.dx is None else replace(found, dx=change(found.dx))

    return _under({
        forms.BY_BRANCH_BIAS: partial(changed, _normalized), forms.WITH_BRANCH_BIAS: partial(changed, _sum),
    })  # fmt: skip


def _averaged(gradient: Array) -> Array:
    return np.asarray(gradient / max(gradient.size // max(gradient.shape[-1], 1), 1))


def _shares(case: Case) -> Array:
    """The part of each entry of x that is the residual of the plain call, and not varied in the others."""
    return forms.in_turn(forms.SHARES, case.x.shape)


def _residual_alone(question: FaultQuestion) -> Answer:
    case = question.case
    found = _of(question, _shares(case) * case.x)
    return replace(found, dx=None if found.dx is None else _shares(case) * found.dx)


def _residual_alone_varied(question: FaultQuestion) -> Answer:
    return _of(question, (1.0 - _shares(question.case)) * question.case.x)


def _residual_alone_in_both(question: FaultQuestion) -> Answer:
    case, found = question.case, _residual_alone_varied(question)
    dx = None if found.dx is None or case.dy is None else found.dx + case.dy
    return _answer(question, found.y + (1.0 - _shares(case)) * case.x, dx)


def _old_residual(question: FaultQuestion) -> Answer:
    case = question.case
    return _answer(question, forms.other_residual(case.x, case.format), np.zeros(case.x.shape))


def _nothing(question: FaultQuestion) -> Answer:
    """Numbers that are divided by zero."""
    found = _of(question, question.case.x)
    weight = None if found.dweight is None else np.full(found.dweight.shape, np.nan)
    return replace(found, y=np.full(found.y.shape, np.nan), dx=np.full(found.y.shape, np.nan), dweight=weight)


def _infinite(question: FaultQuestion) -> Answer:
    case = question.case
    with np.errstate(all="ignore"):
        return _answer(question, case.x / 0.0, None if case.dy is None else case.dy / 0.0)


def _gradient_of_residual(question: FaultQuestion) -> Answer:
    found = _of(question, question.case.x)
    return replace(found, dx=None if found.dx is None else _shares(question.case) * found.dx)


def _sum_without_gradient(question: FaultQuestion) -> Answer:
    case = question.case
    total = case.format.round(case.x + forms.other_residual(case.x, case.format))
    return _answer(question, total, np.zeros(case.x.shape))


FAULTS = (
    Fault(
        name="branch-bias-not-added",
        story="The bias of the layer before is taken and not added. Hides where that bias is zero, as in a new layer.",
        source="constructed",
        concerns=_biased,
        under=_BIAS,
        after=_under({forms.BY_BRANCH_BIAS: _WITHOUT, forms.WITH_BRANCH_BIAS: _SUM_WITHOUT}),
    ),
    Fault(
        name="branch-bias-added-after-the-norm",
        story="Adds the bias of the layer before to the output, as if it were the bias of the normalizer. Hides where "
        "it is zero.",
        source="constructed",
        concerns=_biased,
        under=_BIAS,
        after=_under({forms.BY_BRANCH_BIAS: _added_after, forms.WITH_BRANCH_BIAS: _SUM_WITHOUT}),
    ),
    Fault(
        name="branch-bias-added-twice",
        story="Adds the bias of the layer before again, which that layer has added already or the kernel adds to each "
        "of two inputs. Hides where it is zero.",
        source="constructed",
        concerns=_biased,
        under=_BIAS,
        after=_under({
            forms.BY_BRANCH_BIAS: partial(_normalized, times=2.0), forms.WITH_BRANCH_BIAS: partial(_sum, times=2.0),
        }),
    ),
    Fault(
        name="new-residual-without-branch-bias",
        story="The new residual is the sum without the bias of the layer before, which is normalized with it. Hides in "
        "every test of the output.",
        source="constructed",
        concerns=_biased,
        under=_BIAS,
        after=_under({forms.WITH_BRANCH_BIAS: _SUM_WITHOUT}),
    ),
    Fault(
        name="branch-bias-without-gradient",
        story="No gradient reaches the bias of the layer before, which is never trained. Hides in the output.",
        source="constructed",
        concerns=_biased,
        where="backward",
        under=_BIAS,
        after=_gradient_changed(np.zeros_like),
    ),
    Fault(
        name="branch-bias-gradient-averaged",
        story="The gradient of the bias of the layer before is the mean over cases where the sum is right. Hides in "
        "batches of one.",
        source="constructed",
        concerns=_biased,
        where="backward",
        under=_BIAS,
        after=_gradient_changed(_averaged),
    ),
    Fault(
        name="dropout-keeps-p",
        story="Takes the probability of dropout for that of keeping an entry: at 0 the whole input is dropped, and the "
        "residual alone is normalized. Hides at 0.5.",
        source="constructed",
        concerns=_dropped,
        under=_DROPOUT,
        after=_under({
            PLAIN: _residual_alone,
            forms.BY_RESIDUAL: _residual_alone_varied,
            forms.OF_BOTH: _residual_alone_in_both,
            forms.OTHER: _old_residual,
        }),
    ),
    Fault(
        name="dropout-divides-by-p",
        story="Divides what is kept by p where 1 - p is right: at 0 nothing is finite. Hides at 0.5.",
        source="constructed",
        concerns=_dropped,
        under=_DROPOUT,
        after=_under({
            PLAIN: _nothing, forms.BY_RESIDUAL: _nothing, forms.OF_BOTH: _nothing, forms.OTHER: _infinite,
        }),
    ),
    Fault(
        name="dropout-gradient-times-p",
        story="The backward multiplies the gradient of the input by p where the forward keeps 1 - p: at 0 the input "
        "gets none, and the residual the right one. Hides in the output, and at 0.5.",
        source="constructed",
        concerns=_dropped,
        where="backward",
        under=_DROPOUT,
        after=_under({PLAIN: _gradient_of_residual, forms.OTHER: _sum_without_gradient}),
    ),
)  # fmt: skip
"""Faults of a branch bias, and of dropout at 0."""
