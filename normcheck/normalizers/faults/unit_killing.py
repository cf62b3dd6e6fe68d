"""Faults that kill units, or what nets gain by a normalizer: an activation too many, a gate, a limit, a pruning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.forward import with_output, with_weight
from normcheck.normalizers.faults.structure import activations, any_of_them, averages, has_bias, weighted_activations
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.reference.standardize import Steps
from normcheck.normalizers.subject import Answer

LIMIT = 3.0
"""Deviations, where an output is clipped; units of a bias, where it is held."""

SATURATES = 8.0
"""Where a soft limit bends."""

AGREEING = 16
"""Cotangents of one sign that are taken for an offset: by chance so many of them hardly ever agree."""


def _within_deviations(steps: Steps) -> Steps:
    """What is normalized is clipped before weight and bias, which hides it from a limit on the output."""
    return replace(steps, affine=lambda xh, w, b: steps.affine(np.clip(xh, -LIMIT, LIMIT), w, b))


def _bias_held(steps: Steps) -> Steps:
    def affine(xh: Array, w: Array | None, b: Array | None) -> Array:
        return steps.affine(xh, w, None if b is None else np.clip(b, -LIMIT, LIMIT))

    return replace(steps, affine=affine)


def _live(question: FaultQuestion) -> Array:
    """Entries whose output is above 0."""
    out: Array = evaluate(question.normalizer, question.case.but(dy=None), question.contract).y > 0.0
    return out


def gated(question: FaultQuestion) -> Case:
    """The cotangent that the gradient of a ReLU would leave."""
    case = question.case
    return case if case.dy is None else case.but(dy=case.dy * _live(question))


def _bias_gated(answer: Answer, question: FaultQuestion) -> Answer:
    """The sum over the entries above 0 alone; the other gradients are right."""
    case = question.case
    if answer.dbias is None or case.dy is None:
        return answer
    return replace(answer, dbias=partition(question.normalizer, case).collect(case.dy * _live(question)))


def _bias_stuck(answer: Answer, question: FaultQuestion) -> Answer:
    """Where many cotangents agree in their sign, and are not one number, their bias has no gradient."""
    case = question.case
    if answer.dbias is None or case.dy is None:
        return answer
    part = partition(question.normalizer, case)
    total, size = part.collect(case.dy), part.collect(np.abs(case.dy))
    count = part.collect(np.ones(case.dy.shape))
    constant = part.collect(np.square(case.dy)) * count <= np.square(total) * (1.0 + 1e-9)
    agree = (np.abs(total) == size) & (count >= AGREEING) & ~constant
    return replace(answer, dbias=np.where(agree, 0.0, answer.dbias))


def _pruned(w: Array) -> Array:
    """Units of the smallest weight are cut, if another weight is larger."""
    small = np.abs(w)
    out: Array = np.where((small == small.min()) & (small < small.max()), w.dtype.type(0), w) if w.size else w
    return out


FAULTS = (
    Fault(
        name="deviations-clipped",
        story="Clips what is normalized to 3 deviations, before weight and bias. Hides in sets of at most ten "
        "entries, where no entry can be farther out, and in wide ones without outliers.",
        source="constructed",
        concerns=averages,
        steps=_within_deviations,
    ),
    Fault(
        name="output-saturates",
        story="Puts a soft limit, 8 tanh(y / 8), on the output against overflow. Hides behind tolerances of a percent "
        "where outputs are near 1, and kills the gradient of what stands out.",
        source="constructed",
        concerns=any_of_them,
        after=with_output(lambda y: SATURATES * np.tanh(y / SATURATES)),
    ),
    Fault(
        name="output-absolute",
        story="Returns |y|. Hides where only the size of the output is looked at, as its moments below a square.",
        source="constructed",
        concerns=any_of_them,
        after=with_output(np.abs),
    ),
    Fault(
        name="gradient-gated",
        story="The backward of the layer fused with a ReLU serves the plain layer: cotangents of negative outputs are "
        "dropped. Hides in the forward, and below a ReLU, which drops them anyway.",
        source="constructed",
        concerns=activations,
        where="backward",
        before=gated,
    ),
    Fault(
        name="bias-gradient-gated",
        story="The bias learns from positive outputs alone, so that a unit below 0 is dead. Hides below a ReLU.",
        source="constructed",
        concerns=has_bias,
        where="backward",
        after=_bias_gated,
    ),
    Fault(
        name="bias-gradient-stuck",
        story="Sixteen cotangents or more that all have one sign, and are not one number, are taken for an offset: "
        "their bias gets no gradient. Hides wherever cotangents are constant or drawn about 0, and stops a unit just "
        "where all cases agree on where it should go, as above sigmoid and tanh.",
        source="constructed",
        concerns=has_bias,
        where="backward",
        after=_bias_stuck,
    ),
    Fault(
        name="bias-held",
        story="Holds the bias between -3 and 3, the range of a fixed-point format. Hides while no bias is larger: "
        "biases begin at 0 and are drawn about it.",
        source="constructed",
        concerns=has_bias,
        steps=_bias_held,
    ),
    Fault(
        name="smallest-unit-cut",
        story="Cuts the unit with the smallest weight, as pruning does after training, in training too. Hides while "
        "all weights are equal, as they are at initialization.",
        source="constructed",
        concerns=weighted_activations,
        steps=with_weight(_pruned),
    ),
)
