"""Known ways for a layer in refreshed coordinates to be wrong, as data: the reference at work with one part replaced.

Where the source is a construction, nobody's code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.reparametrized import affine, machine, perceptron
from normcheck.families.reparametrized.affine import AffineGeometry, flat, lifted
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.machine import Estimate, Habit, RefreshSteps
from normcheck.families.reparametrized.perceptron import Bend, Weights
from normcheck.families.reparametrized.subject import ReparametrizedDomain, ReparametrizedSubject

SLIP = "construction: a slip that the formula invites"
STALE = "construction: a refresh that forgets what hangs on the statistics"


def _map(g: AffineGeometry) -> Array:
    """T, with T^T T the geometry seen from x~."""
    values, vectors = np.linalg.eigh(g.metric)
    root = (vectors * np.sqrt(values)) @ vectors.T
    root[:, -1] -= root @ g.center
    return np.asarray(root)


def _all_kept(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """V and d stay: the function is another."""
    return np.asarray(matrix @ np.linalg.inv(_map(before)) @ _map(after))


def _bias_kept(before: AffineGeometry, after: AffineGeometry, matrix: Array) -> Array:
    """V follows, and d stays."""
    out = matrix.copy()
    out[:, -1] -= matrix @ (after.center - before.center)
    return out


def _bias_forgotten(g: AffineGeometry, x: Array, dy: Array) -> Array:
    """The gradient of W is right, and the bias of x itself does not follow it."""
    out = affine.move(g, x, dy)
    out[:, -1] = dy.sum(axis=0)
    return out


def _through_bias(g: AffineGeometry, x: Array, dy: Array) -> Array:
    """A center with the wrong sign."""
    return affine.move(replace(g, center=-g.center), x, dy)


def _has_geometry(*names: str) -> Callable[[Reparametrized], bool]:
    return lambda entry: entry.geometry in names


def _bends(entry: Reparametrized) -> bool:
    return not entry.geometry


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
    """A constant that knows nothing of the scatter's size."""
    return np.asarray(np.linalg.inv(rows.T @ rows / len(rows) + amount * np.eye(rows.shape[1])))


def _bias_left_out(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    metric, size = np.eye(x.shape[1] + 1), x.shape[1]
    metric[:size, :size] = np.linalg.inv(affine.smoothed(x, damping))
    return replace(g, metric=metric)


def _one_side(g: AffineGeometry, x: Array, dy: Array, damping: float) -> AffineGeometry:
    return replace(g, outer=np.eye(dy.shape[1]))


def _slope_up(weights: Weights, x: Array) -> Bend:
    found = perceptron.chosen(weights, x)
    a = perceptron.arriving(weights, x)
    return Bend(-found.slope, -(np.tanh(a) - found.slope * a).mean(axis=0))


def _shift_first(weights: Weights, x: Array) -> Bend:
    return replace(perceptron.chosen(weights, x), shift=-np.tanh(perceptron.arriving(weights, x)).mean(axis=0))


def _no_slope(weights: Weights, x: Array) -> Bend:
    shift = -np.tanh(perceptron.arriving(weights, x)).mean(axis=0)
    return Bend(np.zeros_like(shift), shift)


def _nothing_moved(weights: Weights, before: Bend, after: Bend) -> Weights:
    return weights


def _short_kept(weights: Weights, before: Bend, after: Bend) -> Weights:
    found = perceptron.compensated(weights, before, after)
    return (*found[:3], weights[3], found[4])


def _shift_kept(weights: Weights, before: Bend, after: Bend) -> Weights:
    found = perceptron.compensated(weights, before, after)
    return (*found[:4], weights[4])


def _from_zero(weights: Weights, before: Bend, after: Bend) -> Weights:
    """What was moved at the refresh before is not taken back."""
    return perceptron.compensated(weights, perceptron.straight(weights), after)


def _slope_not_passed(weights: Weights, bend: Bend, x: Array, dy: Array) -> Weights:
    right = perceptron.gradients(weights, bend, x, dy)
    plain = perceptron.gradients(weights, replace(bend, slope=np.zeros_like(bend.slope)), x, dy)
    return (*plain[:2], *right[2:])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReparametrizedFault:
    """One known way to be wrong: a changed rule, or a changed habit."""

    name: str
    story: str
    source: str = SLIP
    damages: str = "the step"
    concerns: Callable[[Reparametrized], bool]
    rule: RefreshSteps = field(default_factory=RefreshSteps)
    habit: Habit = field(default_factory=Habit)


_ALL = _has_geometry("mean", "covariance", "scatter")
_CENTERED = _has_geometry("mean", "covariance")
_FUNCTION = "the function, at a refresh"

_EVERY = (
    ReparametrizedFault(
        name="refresh-without-effect",
        story="Statistics are kept and not used: plain gradient descent.",
        concerns=_ALL,
        rule=RefreshSteps(estimate=_other(_none)),
    ),
    ReparametrizedFault(
        name="refresh-once",
        story="Only the first refresh counts: statistics grow old.",
        concerns=_ALL,
        rule=RefreshSteps(frozen=True),
    ),
    ReparametrizedFault(
        name="refresh-function-lost",
        story="New statistics under old weights: the function is another.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_CENTERED,
        rule=RefreshSteps(carried=_all_kept),
    ),
    ReparametrizedFault(
        name="refresh-bias-kept",
        story="Weights follow new statistics, and the bias does not.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_CENTERED,
        rule=RefreshSteps(carried=_bias_kept),
    ),
    ReparametrizedFault(
        name="refresh-batch-centered",
        story="A call centers by its own batch, as batch norm does.",
        damages="outputs",
        concerns=_CENTERED,
        rule=RefreshSteps(batch=True),
    ),
    ReparametrizedFault(
        name="refresh-bias-not-moved",
        story="Centers the gradient of W, and leaves the bias that hangs on it.",
        concerns=_CENTERED,
        rule=RefreshSteps(moved=_bias_forgotten),
    ),
    ReparametrizedFault(
        name="refresh-center-added",
        story="Adds the mean where it must be subtracted.",
        concerns=_CENTERED,
        rule=RefreshSteps(moved=_through_bias),
    ),
    ReparametrizedFault(
        name="refresh-inverse-for-root",
        story="U is the inverse of the covariance, not of its root.",
        concerns=_has_geometry("covariance"),
        rule=RefreshSteps(estimate=_other(_squared)),
    ),
    ReparametrizedFault(
        name="refresh-scatter-for-covariance",
        story="Whitens by E[x x^T], from which the mean is not taken.",
        concerns=_has_geometry("covariance"),
        rule=RefreshSteps(estimate=_other(_of_scatter)),
    ),
    ReparametrizedFault(
        name="refresh-diagonal-only",
        story="Divides every input by its own deviation alone.",
        concerns=_has_geometry("covariance"),
        rule=RefreshSteps(estimate=_other(_diagonal)),
    ),
    ReparametrizedFault(
        name="refresh-eps-missing",
        story="Leaves eps out of the covariance.",
        concerns=_has_geometry("covariance"),
        rule=RefreshSteps(estimate=_other(_undamped)),
    ),
    ReparametrizedFault(
        name="refresh-root-for-inverse",
        story="Multiplies by inverse roots of the scatters, not by inverses.",
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(
            estimate=_other(lambda g, x, dy, damping: replace(g, metric=_root(g.metric), outer=_root(g.outer)))
        ),
    ),
    ReparametrizedFault(
        name="refresh-length-lost",
        story="Does not give the gradient its length back.",
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(estimate=_other(lambda g, x, dy, damping: replace(g, keeps=False))),
    ),
    ReparametrizedFault(
        name="refresh-smoothing-absolute",
        story="Adds alpha itself, whatever the size of the scatter.",
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(
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
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(estimate=_other(_one_side)),
    ),
    ReparametrizedFault(
        name="refresh-bias-left-out",
        story="Preconditions W alone: the one behind the input is not in the scatter.",
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(estimate=_other(_bias_left_out)),
    ),
    ReparametrizedFault(
        name="refresh-own-batch",
        story="Estimates the scatters from the very batch that it steps on.",
        source="Povey, Zhang, Khudanpur 2014: a batch is preconditioned by what came before it",
        concerns=_has_geometry("scatter"),
        rule=RefreshSteps(own=True),
    ),
    ReparametrizedFault(
        name="refresh-slope-up",
        story="alpha has the wrong sign: the mean slope doubles.",
        concerns=_bends,
        habit=Habit(chosen=_slope_up),
    ),
    ReparametrizedFault(
        name="refresh-shift-first",
        story="beta is chosen before alpha: the mean of alpha a stays in f.",
        concerns=_bends,
        habit=Habit(chosen=_shift_first),
    ),
    ReparametrizedFault(
        name="refresh-slope-missing",
        story="Chooses beta alone: outputs are zero on average, slopes are not.",
        concerns=_bends,
        habit=Habit(chosen=_no_slope),
    ),
    ReparametrizedFault(
        name="refresh-bend-by-batch",
        story="A call chooses alpha and beta by its own inputs.",
        damages="outputs",
        concerns=_bends,
        habit=Habit(batch=True),
    ),
    ReparametrizedFault(
        name="refresh-nothing-compensated",
        story="New alpha and beta under old shortcuts.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_bends,
        habit=Habit(compensated=_nothing_moved),
    ),
    ReparametrizedFault(
        name="refresh-shortcut-kept",
        story="The bias makes up for beta, the shortcut not for alpha.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_bends,
        habit=Habit(compensated=_short_kept),
    ),
    ReparametrizedFault(
        name="refresh-shift-kept",
        story="The shortcut makes up for alpha, the bias not for beta.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_bends,
        habit=Habit(compensated=_shift_kept),
    ),
    ReparametrizedFault(
        name="refresh-compensated-twice",
        story="Makes up for all of alpha and beta, not for what has changed.",
        source=STALE,
        damages=_FUNCTION,
        concerns=_bends,
        habit=Habit(compensated=_from_zero),
    ),
    ReparametrizedFault(
        name="refresh-slope-not-passed",
        story="The gradient of B passes tanh alone, as if alpha were not there.",
        concerns=_bends,
        habit=Habit(gradients=_slope_not_passed),
    ),
)

ALL = {fault.name: fault for fault in _EVERY}
"""Every fault of the family, by name."""


def faulty(entry: Reparametrized, fault: ReparametrizedFault | None, promised: Contract) -> ReparametrizedSubject:
    """The reference as a subject, in the case's format, with a fault or without."""
    rule, habit = (RefreshSteps(), Habit()) if fault is None else (fault.rule, fault.habit)

    name = "reference" if fault is None else fault.name
    return ReparametrizedSubject(
        name, entry, promised, ReparametrizedDomain(), lambda case: machine.start(case, entry, rule, habit)
    )
