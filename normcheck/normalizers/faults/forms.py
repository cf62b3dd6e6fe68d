"""Faults of code of a form: of what is around the normalizer. Faults only where the contract declares the form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers import forms
from normcheck.normalizers.activations import ACTIVATIONS, sigmoid
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import activations, divides_activations, weighted_activations
from normcheck.normalizers.faults.sums import summing
from normcheck.normalizers.forms import in_turn
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

Change = Callable[[Answer, FaultQuestion], Answer]

Fields = dict[str, Any]
"""Fields of a fault."""


def _shares(case: Case) -> Array:
    """The part of each entry of x that is not varied: the residual of the plain call, the input of the others."""
    return in_turn(forms.SHARES, case.x.shape)


def _summing(factor: float) -> Fields:
    """The normalizer sees input + factor residual."""

    def total(case: Case) -> Array:
        """What it sees for an entry 1 of x."""
        part = _shares(case)
        if case.use == forms.OTHER:
            return np.ones(case.x.shape)
        return 1.0 - part + factor * part if case.use == PLAIN else part + factor * (1.0 - part)

    def before(question: FaultQuestion) -> Case:
        case = question.case
        return case.but(x=case.format.round(case.x * total(case)))

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case, dx = question.case, answer.dx
        if dx is None or case.use == forms.OTHER:
            return answer
        if case.use == PLAIN:
            return replace(answer, dx=dx * total(case))
        kept = _dy(question) if case.use == forms.OF_BOTH else 0.0
        return replace(answer, dx=factor * (dx - kept) + kept)

    return {"before": before, "after": after}


def _under(changes: dict[str, Change]) -> Change:
    """A change of the answer for each of some ways to call."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        change = changes.get(question.case.use)
        return answer if change is None else change(answer, question)

    return after


def _of_plain(question: FaultQuestion) -> Answer:
    """The right answer to the plain call."""
    truth = evaluate(question.normalizer, question.case.but(use=PLAIN), question.contract)
    return Answer(truth.y, question.case.format.name, truth.dx, truth.dweight, truth.dbias)


def _gradient(of: Callable[[Answer, FaultQuestion], Array]) -> Change:
    """Another gradient. of: it, from the right answer to the plain call."""

    def change(answer: Answer, question: FaultQuestion) -> Answer:
        return answer if answer.dx is None else replace(answer, dx=of(_of_plain(question), question))

    return change


def _output(of: Callable[[Answer, FaultQuestion], Array]) -> Change:
    """Another output. of: it, from the right answer to the plain call."""
    return lambda answer, question: replace(answer, y=of(_of_plain(question), question))


def _of_sum(question: FaultQuestion) -> Answer:
    """The right answer for the sum of the way `forms.OTHER`."""
    case = question.case
    total = case.format.round(case.x + _old(question))
    return _of_plain(replace(question, case=case.but(x=total)))


def _old(question: FaultQuestion) -> Array:
    """The residual of the way `forms.OTHER`."""
    return forms.other_residual(question.case.x, question.case.format)


def _dx(plain: Answer) -> Array:
    assert plain.dx is not None
    return plain.dx


def _dy(question: FaultQuestion) -> Array:
    assert question.case.dy is not None
    return question.case.dy


_NO_GRADIENT = _gradient(lambda plain, question: np.zeros(question.case.x.shape))


def _both(*changes: Change) -> Change:
    def change(answer: Answer, question: FaultQuestion) -> Answer:
        for one in changes:
            answer = one(answer, question)
        return answer

    return change


def _sum_as_output(answer: Answer, question: FaultQuestion) -> Answer:
    """The sum in place of the output, which depends on no parameter."""
    sums = {"dweight": answer.dweight, "dbias": answer.dbias}
    none = {name: np.zeros(value.shape) for name, value in sums.items() if value is not None}
    dx = None if answer.dx is None else _dy(question)
    return replace(answer, y=np.asarray(question.case.x), dx=dx, **none)  # type: ignore[arg-type]  # by these names


def _scaled_by_gate(of: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Change:
    """Another function of the gate, with its slope, in both ways to call."""

    def gates(question: FaultQuestion) -> Array:
        return in_turn(forms.GATES, question.case.x.shape)

    def opened(answer: Answer, question: FaultQuestion) -> Answer:
        gate = forms.open_gate(question.case.format.name)
        factor = float(of(np.asarray(gate))) / gate
        scaled = {
            n: v * factor for n in ("y", "dx", "dweight", "dbias", "jv", "ddx") if (v := getattr(answer, n)) is not None
        }
        return replace(answer, **scaled)

    return _under({
        PLAIN: opened,
        forms.BY_GATE: _both(
            _output(lambda plain, question: plain.y * of(gates(question))),
            _gradient(lambda plain, question: _dy(question) * plain.y * slope(gates(question))),
        ),
    })  # fmt: skip


def _of_scaled(question: FaultQuestion, factor: Array | float) -> Answer:
    """The right answer to the plain call for the input times a factor."""
    return _of_plain(replace(question, case=question.case.but(x=question.case.x * factor)))


def _times(answer: Answer, factor: float) -> Answer:
    """An answer whose output, and the gradients of parameters with it, are multiplied."""
    there = {name: value for name in ("dweight", "dbias") if (value := getattr(answer, name)) is not None}
    scaled: Fields = {name: value * factor for name, value in there.items()}
    return replace(answer, y=answer.y * factor, **scaled)


def _arrays_of(other: Answer, answer: Answer) -> Answer:
    return replace(answer, y=other.y, dx=other.dx, dweight=other.dweight, dbias=other.dbias)


def _subtracted() -> Fields:
    """The normalizer sees input - residual, and that is the new residual."""
    plain = _summing(-1.0)
    sums: Change = plain["after"]

    def both(answer: Answer, question: FaultQuestion) -> Answer:
        rest = 2.0 * (1.0 - _shares(question.case)) * question.case.x
        return replace(answer, y=answer.y - rest, dx=None if answer.dx is None else -answer.dx)

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        changes: dict[str, Change] = {
            forms.OTHER: _output(lambda right, question: question.case.x - _old(question)),
            forms.OF_BOTH: both,
        }
        return changes.get(question.case.use, sums)(answer, question)

    return plain | {"after": after}


def _added_after() -> Fields:
    """The normalizer sees the input alone, and the residual is added to its output."""
    alone = _summing(0.0)
    sums: Change = alone["after"]

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case, found = question.case, sums(answer, question)
        if case.use == forms.OTHER:
            return answer
        residual = _shares(case) if case.use == PLAIN else 1.0 - _shares(case)
        slope = _shares(case) if case.use == PLAIN else 1.0
        dx = None if found.dx is None else found.dx + slope * _dy(question)
        return replace(found, y=found.y + residual * case.x, dx=dx)

    return alone | {"after": after}


def _without_gate(*names: str) -> Change:
    """Gradients that lack the gate, which is the same for all entries of the plain call."""

    def change(answer: Answer, question: FaultQuestion) -> Answer:
        gate = forms.open_gate(question.case.format.name)
        there = {name: value / gate for name in names if (value := getattr(answer, name)) is not None}
        return replace(answer, **there)

    return _under({PLAIN: change})


def _gate_gradient(slope: Callable[[Array], Array], *, weighted: bool = True) -> Change:
    """Another gradient of the gate. slope: of the gate's function; weighted: the output beside it has its weight."""

    def of(plain: Answer, question: FaultQuestion) -> Array:
        case = question.case
        other = plain if weighted else _of_plain(replace(question, case=_bare(case, question.contract)))
        return _dy(question) * other.y * slope(in_turn(forms.GATES, case.x.shape))

    return _under({forms.BY_GATE: _gradient(of)})


def _bare(case: Case, contract: Contract) -> Case:
    """The case with a weight that multiplies by 1."""
    if case.weight is None:
        return case
    return case.but(weight=np.full(case.weight.shape, 0.0 if contract.weight == "1+w" else 1.0))


def _gated_before(answer: Answer, question: FaultQuestion) -> Answer:
    gate = forms.open_gate(question.case.format.name)
    return _arrays_of(_times(_of_scaled(question, gate), 1.0 / gate), answer)


def _gated_before_by_gate(answer: Answer, question: FaultQuestion) -> Answer:
    x, gates = question.case.x, forms.gates(question.case.x.shape)
    found = _of_scaled(question, gates.value)
    return replace(answer, y=found.y, dx=None if found.dx is None else found.dx * x * gates.slope)


def _gated_after(answer: Answer, question: FaultQuestion) -> Answer:
    gate = forms.open_gate(question.case.format.name)
    return _arrays_of(_times(_of_scaled(question, 1.0 / gate), gate), answer)


def _gated_after_by_gate(answer: Answer, question: FaultQuestion) -> Answer:
    gate = forms.open_gate(question.case.format.name)
    found = _of_scaled(question, 1.0 / gate)
    return replace(answer, y=found.y * gate, dx=None if question.case.dy is None else _dy(question) * found.y)


def _axis(x: Array) -> int:
    """The axis that is padded."""
    return 0 if x.ndim < 3 else x.ndim - 1


def _padded(question: FaultQuestion) -> Case:
    """The case with padding that takes part in statistics: as many entries again, along one axis."""
    case = question.case
    if not case.training:
        return case
    axis = _axis(case.x)
    dy = None if case.dy is None else np.concatenate((case.dy, np.zeros(case.dy.shape)), axis)
    return case.but(x=np.concatenate((case.x, in_turn(forms.PADDING, case.x.shape)), axis), dy=dy)


def _without_padding(answer: Answer, question: FaultQuestion) -> Answer:
    case = question.case
    first = (*(slice(None),) * _axis(case.x), slice(0, case.x.shape[_axis(case.x)]))
    cut = {name: value[first] for name in ("y", "dx") if (value := getattr(answer, name)) is not None}
    return replace(answer, **cut)


COUNTED = 0.5
"""What is left of a mean where the count has as much padding as data."""


def _counting_padding(steps: Steps) -> Steps:
    """Sums that are divided by the count of all entries, and the derivative of that."""

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        along = COUNTED * (g * saved.c).mean(axis=1, keepdims=True) * 2.0 * saved.slope / np.square(saved.s)
        dc = g / saved.s - saved.c * along
        return np.asarray(dc - COUNTED * dc.mean(axis=1, keepdims=True))

    half = summing(lambda a, k: np.asarray(COUNTED * a.sum(axis=1, keepdims=True)))
    return replace(half(steps), backward=backward)


def _nan(answer: Answer, question: FaultQuestion) -> Answer:
    """The output is no number, and neither is the gradient of a parameter that sums over it."""
    weight = answer.dweight
    return replace(
        answer, y=np.full(answer.y.shape, np.nan), dweight=None if weight is None else np.full(weight.shape, np.nan)
    )


_ADD, _GATE, _FIRST, _MASK = (Contract(form=form) for form in (forms.ADD, forms.GATE, forms.GATE_FIRST, forms.MASK))

FAULTS = (
    Fault(
        name="residual-not-added",
        story="Normalizes its input alone: the residual takes no part. Hides where the residual is zero, as in the "
        "first layer of a stack.",
        source="constructed",
        concerns=divides_activations,
        under=_ADD,
        **_summing(0.0),
    ),
    Fault(
        name="residual-added-twice",
        story="The residual is in the sum twice: the kernel adds it to what was added before. Hides where it is zero.",
        source="constructed",
        concerns=divides_activations,
        under=_ADD,
        **_summing(2.0),
    ),
    Fault(
        name="residual-subtracted",
        story="Normalizes input - residual. Hides where the residual is zero.",
        source="constructed",
        concerns=divides_activations,
        under=_ADD,
        **_subtracted(),
    ),
    Fault(
        name="residual-added-after-the-norm",
        story="Normalizes the input alone and adds the residual to the output. Hides where the residual is zero.",
        source="constructed",
        concerns=divides_activations,
        under=_ADD,
        **_added_after(),
    ),
    Fault(
        name="new-residual-is-input",
        story="Returns the input as the new residual, without the old one. Hides in every test of the output.",
        source="constructed",
        concerns=activations,
        under=_ADD,
        after=_under({
            forms.OTHER: _output(lambda plain, question: np.asarray(question.case.x)),
            forms.OF_BOTH: _both(
                _output(lambda plain, question: plain.y + question.case.x * _shares(question.case)),
                _gradient(lambda plain, question: _dx(plain)),
            ),
        }),
    ),
    Fault(
        name="new-residual-without-input",
        story="Returns the old residual as the new one, without the input. Hides in every test of the output.",
        source="constructed",
        concerns=activations,
        under=_ADD,
        after=_under({
            forms.OTHER: _both(_output(lambda plain, question: _old(question)), _NO_GRADIENT),
            forms.OF_BOTH: _output(lambda plain, question: plain.y + question.case.x * (1.0 - _shares(question.case))),
        }),
    ),
    Fault(
        name="new-residual-in-the-input",
        story="Writes the sum into the input and returns that memory as the new residual, which changes when the "
        "caller reuses it. Hides until then.",
        source="sgl-project/sglang#28005",
        concerns=activations,
        under=_ADD,
        after=_under({
            forms.OTHER: lambda answer, question: (
                answer if answer.dx is not None else replace(answer, y=np.full_like(answer.y, forms.AFTERWARDS))
            ),
        }),
    ),
    Fault(
        name="outputs-exchanged",
        story="Returns the new residual first and the output second: (residual, y) where (y, residual) is expected.",
        source="constructed",
        concerns=divides_activations,
        under=_ADD,
        after=_under({
            PLAIN: _sum_as_output, forms.BY_RESIDUAL: _sum_as_output,
            forms.OTHER: _both(
                _output(lambda plain, question: _of_sum(question).y),
                _gradient(lambda plain, question: _dx(_of_sum(question))),
            ),
        }),
    ),
    Fault(
        name="new-residual-is-output",
        story="The new residual is the normalized output: the sum was overwritten before it was stored. Hides in every "
        "test of the output.",
        source="constructed",
        concerns=activations,
        under=_ADD,
        after=_under({
            forms.OTHER: _both(
                _output(lambda plain, question: _of_sum(question).y),
                _gradient(lambda plain, question: _dx(_of_sum(question))),
            ),
            forms.OF_BOTH: _both(
                _output(lambda plain, question: 2.0 * plain.y), _gradient(lambda plain, question: 2.0 * _dx(plain))
            ),
        }),
    ),
    Fault(
        name="new-residual-adds-output",
        story="The new residual is the old one plus the normalized output: in place, the input was overwritten before "
        "the sum was stored. Hides in every test of the output.",
        source="constructed",
        concerns=activations,
        under=_ADD,
        after=_under({
            forms.OTHER: _both(
                _output(lambda plain, question: _old(question) + _of_sum(question).y),
                _gradient(lambda plain, question: _dx(_of_sum(question))),
            ),
            forms.OF_BOTH: _both(
                _output(lambda plain, question: 2.0 * plain.y + question.case.x * (1.0 - _shares(question.case))),
                _gradient(lambda plain, question: 2.0 * _dx(plain) + _dy(question)),
            ),
        }),
    ),
    Fault(
        name="residual-without-gradient",
        story="No gradient reaches the residual. Hides in every test of the gradients of input and weight.",
        source="Dao-AILab/quack#52",
        concerns=activations,
        where="backward",
        under=_ADD,
        after=_under({
            PLAIN: _gradient(lambda plain, question: _dx(plain) * (1.0 - _shares(question.case))),
            forms.BY_RESIDUAL: _NO_GRADIENT,
            forms.OF_BOTH: _NO_GRADIENT,
        }),
    ),
    Fault(
        name="new-residual-without-gradient",
        story="The cotangent of the new residual is dropped: gradients pass through the output alone. Hides in tests "
        "whose loss reads the output alone.",
        source="Dao-AILab/quack#52",
        concerns=activations,
        where="backward",
        under=_ADD,
        after=_under({forms.OTHER: _NO_GRADIENT, forms.OF_BOTH: _gradient(lambda plain, question: _dx(plain))}),
    ),
    Fault(
        name="both-cotangents-normalized",
        story="The cotangent of the new residual is added to that of the output before the backward of the "
        "normalizer, J (dy + dr) where dr + J dy is right. Hides in tests whose loss reads the output alone.",
        source="Dao-AILab/quack#53",
        concerns=activations,
        where="backward",
        under=_ADD,
        after=_under({
            forms.OTHER: _gradient(lambda plain, question: _dx(_of_sum(question))),
            forms.OF_BOTH: _gradient(lambda plain, question: 2.0 * _dx(plain)),
        }),
    ),
    Fault(
        name="gate-is-sigmoid",
        story="Multiplies by sigmoid(g) where silu(g) = g sigmoid(g) is promised.",
        source="constructed",
        concerns=weighted_activations,
        under=_GATE,
        after=_scaled_by_gate(sigmoid, lambda gate: sigmoid(gate) * (1.0 - sigmoid(gate))),
    ),
    Fault(
        name="gate-without-activation",
        story="Multiplies by the gate itself where silu(g) is promised. Hides where gates are large.",
        source="constructed",
        concerns=weighted_activations,
        under=_GATE,
        after=_scaled_by_gate(lambda gate: gate, np.ones_like),
    ),
    Fault(
        name="gate-is-gelu",
        story="Multiplies by gelu(g) where silu(g) is promised. Hides where gates are large.",
        source="constructed",
        concerns=weighted_activations,
        under=_GATE,
        after=_scaled_by_gate(ACTIVATIONS["gelu"].value, ACTIVATIONS["gelu"].slope),
    ),
    Fault(
        name="gate-slope-of-sigmoid",
        story="The backward takes sigmoid'(g) = s (1 - s) for the derivative of silu(g). Hides in the output.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_GATE,
        after=_gate_gradient(lambda gate: sigmoid(gate) * (1.0 - sigmoid(gate))),
    ),
    Fault(
        name="gate-gradient-without-weight",
        story="The gradient of the gate lacks the weight. Hides where the weight is 1.",
        source="constructed",
        concerns=lambda n: weighted_activations(n) and not n.bias,
        where="backward",
        under=_GATE,
        after=_gate_gradient(ACTIVATIONS["silu"].slope, weighted=False),
    ),
    Fault(
        name="gate-missing-in-dx",
        story="The gradient of the input lacks the gate. Hides in the output, and where gates are open.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_GATE,
        after=_without_gate("dx"),
    ),
    Fault(
        name="gate-missing-in-dweight",
        story="The gradients of parameters lack the gate. Hides in the output, and where gates are open.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_GATE,
        after=_without_gate("dweight", "dbias"),
    ),
    Fault(
        name="gate-slope-without-product-rule",
        story="The backward takes sigmoid(g) for the derivative of silu(g): the term g sigmoid'(g) is missing. Hides "
        "in the output, and where gates are large.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_GATE,
        after=_under({forms.BY_GATE: _gradient(lambda plain, question: _dy(question) * plain.y * sigmoid(
            in_turn(forms.GATES, question.case.x.shape)))}),
    ),
    Fault(
        name="gate-without-gradient",
        story="No gradient reaches the gate.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_GATE,
        after=_under({forms.BY_GATE: _NO_GRADIENT}),
    ),
    Fault(
        name="gate-before-the-norm",
        story="Normalizes the product with the gate where the gate is promised after the norm. Hides where all gates "
        "of a set are equal.",
        source="state-spaces/mamba#547",
        concerns=weighted_activations,
        under=_GATE,
        after=_under({PLAIN: _gated_before, forms.BY_GATE: _gated_before_by_gate}),
    ),
    Fault(
        name="gate-after-the-norm",
        story="Multiplies the normalized input by the gate where the gate is promised before the norm.",
        source="state-spaces/mamba#908",
        concerns=weighted_activations,
        under=_FIRST,
        after=_under({PLAIN: _gated_after, forms.BY_GATE_FIRST: _gated_after_by_gate}),
    ),
    Fault(
        name="gate-before-without-gradient",
        story="No gradient reaches the gate before the normalizer.",
        source="constructed",
        concerns=weighted_activations,
        where="backward",
        under=_FIRST,
        after=_under({forms.BY_GATE_FIRST: _NO_GRADIENT}),
    ),
    Fault(
        name="padding-in-statistics",
        story="Statistics are taken over all entries, those of padding among them. Hides where no entry is padding.",
        source="constructed",
        concerns=lambda n: n.state and n.scaled,
        under=_MASK,
        before=_padded,
        after=_without_padding,
    ),
    Fault(
        name="padding-counted",
        story="Sums are over entries that are no padding, and are divided by the number of all entries: mean and "
        "variance are too small. Hides where no entry is padding.",
        source="constructed",
        concerns=lambda n: n.state and n.scaled,
        under=_MASK,
        steps=_counting_padding,
    ),
    Fault(
        name="padding-has-gradient",
        story="Padding gets the gradient of an ordinary entry: what is right forward is not masked backward.",
        source="constructed",
        concerns=lambda n: n.state and n.scaled,
        where="backward",
        under=_MASK,
        after=_under({forms.BY_PADDING: _gradient(lambda plain, question: _dx(plain))}),
    ),
    Fault(
        name="padding-alone-is-nan",
        story="A case of nothing but padding has statistics of no entries, 0 / 0. A mask of zeros does not remove NaN. "
        "Hides where every case has an entry.",
        source="pytorch/pytorch#81985",
        concerns=lambda n: n.scaled and n.acts_on == "activation" and n.sets.layout == "channels" and n.independent,
        under=replace(_MASK, empty="accepted"),
        after=_under({forms.BESIDE_PADDING: _nan}),
    ),
)  # fmt: skip
