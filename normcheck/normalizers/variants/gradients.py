"""Variants of the faults that change gradients alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.faults import Fault, FaultQuestion
from normcheck.normalizers.faults.backward import Factor, variance_term, with_dweight, with_dx
from normcheck.normalizers.faults.saved import overwritten, reading, summed, zero_at
from normcheck.normalizers.faults.terms import dbias_times_weight, dweight_times_weight, scaled_mean_term
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer
from normcheck.normalizers.variants.variant import BLOCKS, unchanged, variant

SPECIAL = (63, 64, 65, 127, 128, 256, 512, 768, 769, 1023, 2048, 4095, 4096, 4097)
"""Widths for which kernels have paths of their own, beside that of the catalog's fault: one of them is wrong."""


MEAN_FACTORS: tuple[Callable[[Setting], float], ...] = (lambda k: -1.0, lambda k: 0.5, lambda k: -float(k.n))
"""Factors of the mean: the wrong sign, half, the sum with the wrong sign."""

VARIANCE_FACTORS: tuple[Factor, ...] = (
    lambda saved, k: float(k.n), lambda saved, k: 2.0 * k.n, lambda saved, k: 1.0 / k.n,
    lambda saved, k: k.n / max(k.n - 1.0, 1.0),
    *(lambda saved, k, p=power: saved.s**p for power in (1.0, 2.0, -1.0, -2.0)),
)  # fmt: skip
"""Factors of the term of the variance: not divided by the number, divided twice, other powers of the deviation."""


def _both_by_fewer(steps: Steps) -> Steps:
    """Both terms divide by n - 1."""
    by_fewer: Callable[[Setting], float] = lambda k: k.n / max(k.n - 1.0, 1.0)
    return scaled_mean_term(by_fewer)(variance_term(lambda saved, k: by_fewer(k))(steps))


def _whole_blocks(block: int) -> Callable[[Array], Array]:
    def keep(full: Array) -> Array:
        out, rows = full.copy(), len(full)
        out[rows - rows % block :] = 0
        return out

    return keep


def _only_sets(kept: Callable[[int], int]) -> Callable[[Answer, FaultQuestion], Answer]:
    """The weight's gradient sums the first sets only. kept: from the number of sets to the number that is summed."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        if answer.dweight is None or question.case.dy is None:
            return answer
        truth = evaluate(question.normalizer, question.case, question.contract)
        part = truth.partition
        read = part.per_set(np.arange(part.sets) < kept(part.sets))
        return replace(
            answer, dweight=part.collect(np.where(read, question.case.dy, 0.0) * part.scatter(truth.saved.xh))
        )

    return after


def _down_to(block: int) -> Callable[[int], int]:
    return lambda sets: sets - sets % block


def _from_rounded_statistics(saved: Saved, k: Setting) -> Array:
    """xh recomputed from a mean and a root that were rounded to the input's format."""
    out: Array = (saved.x - k.format.round(saved.mu)) / k.format.round(saved.s)
    return out


def _mean_of_all_cotangents(steps: Steps) -> Steps:
    """The mean over all sets is taken before the division by the scale of each."""

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        if not (k.centered and k.through[0]):
            return steps.backward(saved, g, k)
        out: Array = steps.backward(saved, g, replace(k, through=(0, k.through[1]))) - g.mean() / saved.s
        return out

    return replace(steps, backward=backward)


def _over_sets(mean: bool, variance: bool) -> Callable[[Steps], Steps]:
    """Means over sets in place of members, in the term of the mean, of the variance, or both."""

    def wrap(steps: Steps) -> Steps:
        def backward(saved: Saved, g: Array, k: Setting) -> Array:
            if k.through[1] != 1 or (k.centered and k.through[0] != 1):
                return steps.backward(saved, g, k)
            terms = g * (1.0 if k.centered else 0.0), g * saved.xh
            sums = [
                a.mean(axis=0 if other else 1, keepdims=True) for a, other in zip(terms, (mean, variance), strict=True)
            ]
            out: Array = (g - sums[0] - saved.xh * sums[1]) / saved.s
            return out

        return replace(steps, backward=backward)

    return wrap


def _of_both_parameters(answer: Answer, question: FaultQuestion) -> Answer:
    return dbias_times_weight(dweight_times_weight(answer, question), question)


def _of_training(steps: Steps) -> Steps:
    """The closed form of training, (g - mean g - xh mean(g xh)) / s, also where the statistics are constant."""

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        if k.through != (0, 0):
            return steps.backward(saved, g, k)
        mean = g.mean(axis=1, keepdims=True) if k.centered else g.dtype.type(0.0)
        out: Array = (g - mean - saved.xh * (g * saved.xh).mean(axis=1, keepdims=True)) / saved.s
        return out

    return replace(steps, backward=backward)


def of_gradients() -> Iterator[Fault]:
    """Variants that change gradients."""
    yield variant("dweight-from-x", steps=unchanged, after=summed(lambda saved, k: saved.c))
    yield variant("saved-statistics-in-half", after=summed(_from_rounded_statistics))
    yield from (variant("dweight-tail-dropped", steps=with_dweight(_whole_blocks(block))) for block in BLOCKS[:4])
    yield from (
        variant("dweight-tail-dropped", steps=unchanged, after=_only_sets(_down_to(block)))
        for block in (4, *BLOCKS[:4])
    )
    yield variant("dweight-last-row-missing", steps=unchanged, after=_only_sets(lambda sets: sets - 1))
    yield variant("dx-cross-row", steps=_mean_of_all_cotangents)
    yield from (
        variant("dx-cross-row", steps=_over_sets(*terms)) for terms in ((True, False), (False, True), (True, True))
    )
    yield variant("dx-unbiased", steps=_both_by_fewer)
    yield variant("mean-term-added", steps=with_dx(lambda dx, saved: dx - dx.mean(axis=1, keepdims=True)))
    yield variant("dweight-times-weight", after=dbias_times_weight)
    yield variant("dweight-times-weight", after=_of_both_parameters)
    yield from (variant("mean-term-scaled", steps=scaled_mean_term(factor)) for factor in MEAN_FACTORS)
    yield from (variant("variance-term-scaled", steps=variance_term(factor)) for factor in VARIANCE_FACTORS)
    yield variant("eval-gradient-through-statistics", steps=_of_training)
    yield variant("backward-reads-overwritten-input", **reading(overwritten))
    yield variant("dx-zero-at-one-width", after=zero_at(*SPECIAL))
