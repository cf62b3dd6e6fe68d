"""Faults of the gradient of the input and of running statistics; every output in training is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase, fold, per_channel, unfold
from normcheck.families.whitening.faults.base import (
    BACKWARD,
    STATE,
    WhiteningFault,
    other_gradient,
    other_running_cov,
    seen_as,
)
from normcheck.families.whitening.reference import Root, Whitened, answer, constant_statistics, flip


def _constant(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    kept = answer(root, case)
    return replace(kept, dx=constant_statistics(root, case)) if case.training else kept


def _mean_constant(kept: WhiteningAnswer, case: WhiteningCase, done: Whitened) -> Array:
    """Without the last subtraction: dx is off by the mean of the direct part."""
    assert kept.dx is not None
    dy = fold(case.dy * per_channel(case.weight, case.x.shape, 1.0), case.groups)
    mean = (flip(done.matrix) @ dy).mean(-1)
    return np.asarray(kept.dx + per_channel(mean, case.x.shape, 0.0))


def _matrix_constant(kept: WhiteningAnswer, case: WhiteningCase, done: Whitened) -> Array:
    dy = fold(case.dy * per_channel(case.weight, case.x.shape, 1.0), case.groups)
    direct = flip(done.matrix) @ dy
    return unfold(direct - direct.mean(-1, keepdims=True), case.x.shape)


def _with_eps(kept: WhiteningAnswer, case: WhiteningCase, done: Whitened) -> Array:
    return case.running_cov + case.momentum * (done.damped - case.running_cov)


def _old_momentum(case: WhiteningCase) -> WhiteningCase:
    return case.but(momentum=1.0 - case.momentum)


def _always_batch(root: Root, case: WhiteningCase) -> WhiteningAnswer:
    kept = answer(root, case.but(training=True))
    return kept if case.training else replace(kept, running_mean=case.running_mean, running_cov=case.running_cov)


ALL = (
    WhiteningFault(
        name="white-statistics-constant",
        story="Lets no gradient pass through mean and covariance.",
        damages=BACKWARD,
        answer=_constant,
    ),
    WhiteningFault(
        name="white-matrix-constant",
        story="Lets no gradient pass through the matrix: that of the mean alone is taken.",
        damages=BACKWARD,
        answer=other_gradient(_matrix_constant),
    ),
    WhiteningFault(
        name="white-backward-mean-missing",
        story="Lets no gradient pass through the mean.",
        damages=BACKWARD,
        answer=other_gradient(_mean_constant),
    ),
    WhiteningFault(
        name="white-momentum-old",
        story="Momentum is the weight of the old statistics.",
        damages=STATE,
        answer=seen_as(_old_momentum),
    ),
    WhiteningFault(
        name="white-running-with-eps",
        story="Stores the covariance with eps, which evaluation adds once more.",
        damages=STATE,
        answer=other_running_cov(_with_eps),
    ),
    WhiteningFault(
        name="white-batch-in-evaluation",
        story="Whitens by the batch in evaluation too.",
        damages="evaluation with running statistics",
        answer=_always_batch,
    ),
)
