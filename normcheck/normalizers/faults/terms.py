"""Faults of the terms of a backward pass that somebody derived by hand: each has a factor that it should not have.

dx = (g - mean(g) - xh mean(g xh)) / s, with other factors of the second and the third term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.backward import mean_term, variance_term, with_gradient
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import centered, divides, divides_activations, weighted_activations
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

After = Callable[[Answer, FaultQuestion], Answer]


def scaled_mean_term(factor: Callable[[Setting], float]) -> Callable[[Steps], Steps]:
    """The mean that is subtracted, times a factor."""
    return mean_term(lambda dx, k: dx.dtype.type(factor(k)) * dx.mean(axis=1, keepdims=True))


def _times_weight(value: Array, question: FaultQuestion) -> Array:
    """The gradient of a parameter, multiplied by the weight."""
    weight = question.case.weight
    if weight is None:
        return value
    return value * (weight + 1.0 if question.contract.weight == "1+w" else weight)


dweight_times_weight, dbias_times_weight = (with_gradient(name, _times_weight) for name in ("dweight", "dbias"))


def _without_weight(constant: str) -> After:
    """The gradient with one term that is computed from the cotangent before it is multiplied by the weight.

    constant: the gradient mode in which that term is missing.
    """

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if answer.dx is None or case.weight is None or question.contract.gradient != "full":
            return answer

        def dx(of: Case, mode: str) -> Array:
            found = evaluate(question.normalizer, of, replace(question.contract, gradient=mode)).dx
            assert found is not None
            return found

        bare = case.but(weight=None)
        return replace(answer, dx=dx(case, constant) + dx(bare, "full") - dx(bare, constant))

    return after


def _centered_and_weighted(n: Normalizer) -> bool:
    return centered(n) and divides_activations(n) and weighted_activations(n)


def _weighted_and_divided(n: Normalizer) -> bool:
    return divides_activations(n) and weighted_activations(n)


def _only_divides(n: Normalizer) -> bool:
    return divides_activations(n) and not centered(n)


def _subtracting(steps: Steps) -> Steps:
    """The mean of the cotangent is subtracted before the division by the scale."""

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        out: Array = steps.backward(saved, g, k) - g.mean(axis=1, keepdims=True) / saved.s
        return out

    return replace(steps, backward=backward)


FAULTS = (
    Fault(
        name="mean-term-scaled",
        story="The mean of the cotangent has another factor: it is not divided by the number of members, halved, or "
        "added instead of subtracted. Hides where the cotangent has mean 0.",
        source="constructed",
        concerns=centered,
        where="backward",
        steps=scaled_mean_term(lambda k: float(k.n)),
    ),
    Fault(
        name="variance-term-scaled",
        story="The term of the variance has another factor: it is halved, not divided by the number of members, or has "
        "another power of the deviation. Hides where the cotangent is orthogonal to the output.",
        source="constructed",
        concerns=divides,
        where="backward",
        steps=variance_term(lambda saved, k: 0.5),
    ),
    Fault(
        name="mean-term-without-weight",
        story="The mean that is subtracted is that of the cotangent before it is multiplied by the weight. Hides while "
        "the weight is 1.",
        source="constructed",
        concerns=_centered_and_weighted,
        where="backward",
        after=_without_weight("mean-constant"),
    ),
    Fault(
        name="variance-term-without-weight",
        story="The term of the variance is computed from the cotangent before it is multiplied by the weight. Hides "
        "while the weight is 1.",
        source="constructed",
        concerns=_weighted_and_divided,
        where="backward",
        after=_without_weight("variance-constant"),
    ),
    Fault(
        name="mean-term-added",
        story="The backward subtracts a mean, as that of a layer norm does; the forward subtracts none. Hides where "
        "the cotangent has mean 0.",
        source="constructed",
        concerns=_only_divides,
        where="backward",
        steps=_subtracting,
    ),
    Fault(
        name="dweight-times-weight",
        story="The gradient of the weight or the bias is summed from the cotangent after it is multiplied by the "
        "weight. Hides while the weight is 1.",
        source="constructed",
        concerns=_weighted_and_divided,
        where="backward",
        after=dweight_times_weight,
    ),
)
