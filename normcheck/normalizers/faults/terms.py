"""Faults of the terms of a backward pass that somebody derived by hand: each has a factor that it should not have.

dx = (g - mean(g) - xh mean(g xh)) / s, with other factors of the second and the third term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from normcheck.core.floats import Array
from normcheck.normalizers.faults.backward import mean_term
from normcheck.normalizers.faults.base import Fault
from normcheck.normalizers.faults.structure import centered, divides
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps

Factor = Callable[[Saved, Setting], Array | float]


def scaled_variance_term(factor: Factor) -> Callable[[Steps], Steps]:
    """The term of the variance times a factor; the mean is subtracted as ever."""

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            if not k.through[1]:
                return steps.backward(saved, g, k)
            without = steps.backward(saved, g, replace(k, through=(k.through[0], 0)))
            term = steps.backward(saved, g, k) - without
            out: Array = without + (term * factor(saved, k)).astype(g.dtype)
            return out

        return replace(steps, backward=backward)

    return wrap


def scaled_mean_term(factor: Factor) -> Callable[[Steps], Steps]:
    """The mean that is subtracted, times a factor that depends on the number of members alone."""
    return mean_term(lambda dx, k: dx.dtype.type(factor(None, k)) * dx.mean(axis=1, keepdims=True))  # type: ignore[arg-type]  # such a factor reads no statistics


FAULTS = (
    Fault(
        name="mean-term-scaled",
        story="The mean of the cotangent has another factor: it is not divided by the number of members, halved, or "
        "added instead of subtracted. Hides where the cotangent has mean 0.",
        source="constructed",
        concerns=centered,
        where="backward",
        steps=scaled_mean_term(lambda saved, k: float(k.n)),
    ),
    Fault(
        name="variance-term-scaled",
        story="The term of the variance has another factor: it is halved, not divided by the number of members, or has "
        "another power of the deviation. Hides where the cotangent is orthogonal to the output.",
        source="constructed",
        concerns=divides,
        where="backward",
        steps=scaled_variance_term(lambda saved, k: 0.5),
    ),
)
