"""Faults of affine layers in another geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.faults.base import FUNCTION, STALE, ReparametrizedFault
from normcheck.families.reparametrized.faults.run import AffineSteps, coordinates
from normcheck.families.reparametrized.reference import affine
from normcheck.families.reparametrized.reference.affine import (
    AffineGeometry,
    Estimate,
    by_covariance,
    by_mean,
    by_scatter,
    flat,
    lifted,
)


def _all_kept(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """V and d stay, so that the function changes."""
    return np.asarray(matrix @ np.linalg.inv(coordinates(before)) @ coordinates(after))


def _bias_kept(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """V changes with the statistics, and d stays."""
    out = matrix.copy()
    out[:, -1] -= matrix @ (after.center - before.center)
    return out


def _bias_forgotten(g: AffineGeometry, x: Array, dy: Array) -> Array:
    """The gradient of W is right, and the bias does not follow it."""
    out = affine.move(g, x, dy)
    out[:, -1] = dy.sum(axis=0)
    return out


def _through_bias(g: AffineGeometry, x: Array, dy: Array) -> Array:
    """A center with the wrong sign."""
    return affine.move(replace(g, center=-g.center), x, dy)


def with_geometry(*estimates: Estimate) -> Callable[[Reparametrized], bool]:
    """Entries with one of these geometries."""
    return lambda entry: entry.geometry in estimates


def _affine(entry: Reparametrized) -> bool:
    return entry.affine


def _other(change: Callable[[AffineGeometry, Array, Array, float], AffineGeometry]) -> Callable[[Estimate], Estimate]:
    """Another geometry than the one that is estimated."""
    return lambda estimate: lambda x, dy, damping: change(estimate(x, dy, damping), x, dy, damping)


def _none(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return flat(x.shape[1], dy.shape[1])


def _squared(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return replace(g, metric=g.metric @ g.metric)


def _of_scatter(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    metric = g.metric.copy()
    size = x.shape[1]
    metric[:size, :size] = np.linalg.inv(x.T @ x / len(x) + damping * np.eye(size))
    return replace(g, metric=metric)


def _diagonal(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return replace(g, metric=np.asarray(np.diag(1.0 / np.diag(np.linalg.inv(g.metric)))))


def _undamped(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return affine.by_covariance(x, dy, damping * 2.0**-10)


def _root(metric: Array) -> Array:
    values, vectors = np.linalg.eigh(metric)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def _smoothed_by(amount: float, rows: Array) -> Array:
    """The inverse of a scatter to which a constant is added, not a share of its size."""
    return np.asarray(np.linalg.inv(rows.T @ rows / len(rows) + amount * np.eye(rows.shape[1])))


def _bias_left_out(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    metric, size = np.eye(x.shape[1] + 1), x.shape[1]
    metric[:size, :size] = np.linalg.inv(affine.smoothed(x, damping))
    return replace(g, metric=metric)


def _one_side(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return replace(g, outer=np.eye(dy.shape[1]))


_CENTERED = with_geometry(by_mean, by_covariance)

ALL = (
    ReparametrizedFault(
        name="refresh-without-effect",
        story="Statistics are kept and not used: plain gradient descent.",
        concerns=_affine,
        affine=AffineSteps(estimate=_other(_none)),
    ),
    ReparametrizedFault(
        name="refresh-once",
        story="Only the first refresh counts: statistics grow old.",
        concerns=_affine,
        affine=AffineSteps(frozen=True),
    ),
    ReparametrizedFault(
        name="refresh-function-lost",
        story="New statistics under old weights: the function is another.",
        source=STALE,
        damages=FUNCTION,
        concerns=_CENTERED,
        affine=AffineSteps(carried=_all_kept),
    ),
    ReparametrizedFault(
        name="refresh-bias-kept",
        story="Weights follow new statistics, and the bias does not.",
        source=STALE,
        damages=FUNCTION,
        concerns=_CENTERED,
        affine=AffineSteps(carried=_bias_kept),
    ),
    ReparametrizedFault(
        name="refresh-batch-centered",
        story="A call centers by its own batch, as batch norm does.",
        damages="outputs",
        concerns=_CENTERED,
        affine=AffineSteps(batch=True),
    ),
    ReparametrizedFault(
        name="refresh-bias-not-moved",
        story="Centers the gradient of W, and leaves the bias that hangs on it.",
        concerns=_CENTERED,
        affine=AffineSteps(moved=_bias_forgotten),
    ),
    ReparametrizedFault(
        name="refresh-center-added",
        story="Adds the mean where it must be subtracted.",
        concerns=_CENTERED,
        affine=AffineSteps(moved=_through_bias),
    ),
    ReparametrizedFault(
        name="refresh-inverse-for-root",
        story="U is the inverse of the covariance, not of its root.",
        concerns=with_geometry(by_covariance),
        affine=AffineSteps(estimate=_other(_squared)),
    ),
    ReparametrizedFault(
        name="refresh-scatter-for-covariance",
        story="Whitens by E[x x^T], from which the mean is not taken.",
        concerns=with_geometry(by_covariance),
        affine=AffineSteps(estimate=_other(_of_scatter)),
    ),
    ReparametrizedFault(
        name="refresh-diagonal-only",
        story="Divides every input by its own deviation alone.",
        concerns=with_geometry(by_covariance),
        affine=AffineSteps(estimate=_other(_diagonal)),
    ),
    ReparametrizedFault(
        name="refresh-eps-missing",
        story="Leaves eps out of the covariance.",
        concerns=with_geometry(by_covariance),
        affine=AffineSteps(estimate=_other(_undamped)),
    ),
    ReparametrizedFault(
        name="refresh-root-for-inverse",
        story="Multiplies by inverse roots of the scatters, not by inverses.",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(
            estimate=_other(lambda g, x, dy, damping: replace(g, metric=_root(g.metric), outer=_root(g.outer)))
        ),
    ),
    ReparametrizedFault(
        name="refresh-length-lost",
        story="Does not give the gradient its length back.",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(estimate=_other(lambda g, x, dy, damping: replace(g, keeps=False))),
    ),
    ReparametrizedFault(
        name="refresh-smoothing-absolute",
        story="Adds alpha itself, whatever the size of the scatter.",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(
            estimate=_other(
                lambda g, x, dy, damping: replace(
                    g, metric=_smoothed_by(damping, lifted(x)), outer=_smoothed_by(damping, dy)
                )
            )
        ),
    ),
    ReparametrizedFault(
        name="refresh-one-side",
        story="Leaves the derivatives of outputs as they are.",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(estimate=_other(_one_side)),
    ),
    ReparametrizedFault(
        name="refresh-bias-left-out",
        story="Preconditions W alone: the one behind the input is not in the scatter.",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(estimate=_other(_bias_left_out)),
    ),
    ReparametrizedFault(
        name="refresh-own-batch",
        story="Estimates the scatters from the very batch that it steps on.",
        source="Povey, Zhang, Khudanpur 2014: a batch is preconditioned by what came before it",
        concerns=with_geometry(by_scatter),
        affine=AffineSteps(own=True),
    ),
)
