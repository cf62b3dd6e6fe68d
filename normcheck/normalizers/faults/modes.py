"""Faults of modules as they are constructed and deployed: what they start with, and what they do in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core import uses
from normcheck.normalizers.faults.base import Fault, FaultQuestion, without_gradients
from normcheck.normalizers.faults.structure import (
    divides,
    has_both,
    keeps_variance,
    stateless_activations,
    weighted_activations,
)
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer, Constructed

SMALL = 2.0**-8
"""How small the numbers of a training batch are beside those that are evaluated."""


def _not_normalized(answer: Answer, question: FaultQuestion) -> Answer:
    """In evaluation mode the input is returned: dx is the cotangent, and no parameter has a gradient."""
    case = question.case
    if case.use not in (*uses.EVALUATED, *uses.CHANGED):
        return answer
    return replace(without_gradients(answer), y=case.x, dx=None if answer.dx is None else case.dy)


def _stopped(answer: Answer, question: FaultQuestion) -> Answer:
    """No gradient passes in evaluation mode."""
    return without_gradients(answer) if question.case.use in uses.EVALUATED else answer


def _clipped(answer: Answer, question: FaultQuestion) -> Answer:
    """In evaluation mode a variance is at most the largest of training, which was on smaller numbers.

    Where it is that, no gradient passes through it.
    """
    case = question.case
    if case.use != uses.EVALUATED[0]:
        return answer
    truth = evaluate(question.normalizer, case, question.contract)
    part, v, g = truth.partition, truth.saved.v, truth.normalized_cotangent
    factor = np.sqrt((v + case.eps) / (np.minimum(v, SMALL**2 * v.max(initial=0.0)) + case.eps))
    xh = part.scatter(truth.saved.xh * factor)
    y = xh if truth.gain is None else xh * truth.gain
    found = replace(answer, y=y if truth.bias is None else y + truth.bias)
    if g is None or answer.dx is None or case.dy is None:
        return found
    through = (g - g.mean(axis=1, keepdims=True) if truth.setting.centered else g) * factor / truth.saved.s
    dx = part.scatter(np.where(factor > 1.0, through, part.gather(answer.dx)))
    dweight = None if answer.dweight is None else part.collect(case.dy * xh)
    return replace(found, dx=dx, dweight=dweight)


def _stale(*names: str) -> Callable[[Answer, FaultQuestion], Answer]:
    """Where parameters change in one of these ways, the output is that of the ones before."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if case.use not in names:
            return answer
        before = {role: 0.5 - 1.5 * value for role in ("weight", "bias") if (value := getattr(case, role)) is not None}
        other = case.but(weight=before.get("weight"), bias=before.get("bias"), dy=None)
        return replace(answer, y=evaluate(question.normalizer, other, question.contract).y)

    return after


def _fault(name: str, story: str, source: str, after: Callable[[Answer, FaultQuestion], Answer], *,
           concerns: Callable[[Normalizer], bool]) -> Fault:  # fmt: skip
    return Fault(name=name, story=story, source=source, concerns=concerns, where="mode", after=after)


def filled(role: str, value: float) -> Callable[[Constructed], Constructed]:
    def change(new: Constructed) -> Constructed:
        held = getattr(new, role)
        changed: dict[str, Any] = {} if held is None else {role: np.full(held.shape, value)}
        return replace(new, **changed)

    return change


def _with_bias(new: Constructed) -> Constructed:
    return replace(new, bias=np.zeros(1)) if new.bias is None else new


def _constructing(name: str, story: str, source: str, change: Callable[[Constructed], Constructed], *,
                  concerns: Callable[[Normalizer], bool]) -> Fault:  # fmt: skip
    return Fault(name=name, story=story, source=source, concerns=concerns, where="construction", constructed=change)


FAULTS = (
    _fault(
        "evaluation-skips-normalization",
        "Takes the training flag for a switch: in evaluation mode the input is returned. Hides where nobody evaluates.",
        "flashlight/flashlight#103", _not_normalized, concerns=stateless_activations,
    ),
    _fault(
        "evaluation-stops-gradient",
        "A frozen layer in evaluation mode passes no gradient on to the layers below it.",
        "torch/torch7#1169", _stopped, concerns=stateless_activations,
    ),
    _fault(
        "evaluation-clips-at-trained-scale",
        "Keeps the largest mean square of the training batches, and divides by no more in evaluation. Hides where "
        "what is evaluated is no larger than what was trained on.",
        "constructed", _clipped,
        concerns=lambda n: stateless_activations(n) and divides(n),
    ),
    _fault(
        "evaluation-copies-parameters",
        "Prepares its parameters at the first evaluation, and never again: what is trained or loaded later is ignored.",
        "torch/nn#1205", _stale(*uses.CHANGED), concerns=weighted_activations,
    ),
    _fault(
        "evaluation-copies-until-loaded",
        "The parameters that are prepared for evaluation follow a load, and no step of an optimizer.",
        "torch/nn#1205", _stale(*uses.CHANGED[:2]), concerns=weighted_activations,
    ),
    _constructing(
        "weight-starts-elsewhere",
        "The weight of a new layer is not the one that leaves what is normalized as it is: zero, a random number, or "
        "what the memory held. Hides wherever parameters are loaded.",
        "google-research/timesfm#481", filled("weight", 0.0), concerns=weighted_activations,
    ),
    _constructing(
        "bias-starts-elsewhere",
        "The bias of a new layer is not zero. Hides wherever parameters are loaded.",
        "pytorch/pytorch#4922", filled("bias", 1.0), concerns=has_both,
    ),
    _constructing(
        "bias-option-ignored",
        "bias=False makes a bias all the same.",
        "pytorch/pytorch#108048", _with_bias, concerns=has_both,
    ),
    _constructing(
        "buffer-never-filled",
        "A buffer that is in no saved state, and that reset_parameters does not fill: of a layer that was made on the "
        "meta device it is whatever the memory held. Hides wherever layers are made on their device.",
        "construction: register_buffer(persistent=False); torch.nn.Module.to_empty",
        lambda new: replace(new, unfilled=("eps",)), concerns=weighted_activations,
    ),
    _constructing(
        "weight-not-registered",
        "The weight is a plain attribute: it is not trained, saved or moved.",
        "sgl-project/sglang#12813", lambda new: replace(new, weight=None, unregistered=("weight",)),
        concerns=weighted_activations,
    ),
    _constructing(
        "running-variance-starts-elsewhere",
        "The running variance does not start at one: where it is zero, what is evaluated before training is divided by "
        "the root of eps.",
        "torch.nn.BatchNorm2d: the running variance starts at 1", filled("running_var", 0.0),
        concerns=keeps_variance,
    ),
)  # fmt: skip
