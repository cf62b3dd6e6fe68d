"""How far a correct recurrent net may be off, on this very case: its own first-order errors, carried by its own steps.

An absolute bound that is carried from step to step takes the absolute value of every Jacobian, and grows by tens at
each step where the true error does not. So errors are carried with their signs: to first order the error of a result
is the sum over all operations j of L_j d_j, with L_j the true sensitivity and |d_j| <= b_j the local bound of that
operation (dot products and norms as in `bounds`, a few units in the last place for the rest). Rounding errors of
different operations are modeled as independent of each other (Higham and Mary 2019), so by Hoeffding
the sum stays below K sqrt(sum L_j^2 b_j^2) but for a chance of 2 exp(-K^2 / 2). That root is measured: the reference
runs, backward included, in samples where every d_j is +b_j or -b_j at random, and the root of their mean square is
taken, with a share of that of the neighbors in the same step, since few samples may be small by chance.

Nonlinear effects are included, because each sample is a run of the true net. Where a norm multiplies noise (a step
whose cases are alike) the bound grows as the error does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import FLOAT32, Array
from normcheck.core.kept import keeping
from normcheck.core.result import WITNESS
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.reference.nets import Unrolled, unroll
from normcheck.families.recurrent.reference.steps import RecurrentSteps, Rounding
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import condition
from normcheck.normalizers.reference.standardize import Saved, Setting

SAMPLES = 12
"""Runs whose mean square stands for the sum over operations."""

K = 4.0
"""Roots of the mean square that are allowed."""

FEW = 4.0
"""Units in the last place that a handful of operations may lose."""

FLOOR = 4.0
"""Roundings of numbers too small to be normal, which no relative error covers."""

NEIGHBORS = 0.25
"""The share of the neighbors' mean square that each entry gets: twelve samples of one entry may be small by chance."""

SHOWN = 2.0 * WITNESS
"""Bounds by which a predicted change must exceed the allowed error, so that a correct net shows `WITNESS` of them."""

NEGLIGIBLE = 2.0**-60
"""Factor that makes an eps so small that it changes nothing, and keeps it a normal number in float32."""

OPEN = 60.0
"""The bias of a gate that is held open or, negative, shut: a normalized sum of inputs stays below half of it."""

NEAR = 100.0
"""Bounds of the correct net within which two answers count as the same: a wrong one is thousands of bounds away."""

DIGITS = 6
"""Decimal places of a first gain that are compared: a constructor may hold it in float32."""


@dataclass(frozen=True)
class RecurrentTruth:
    """The exact answer, and what each part of it may be off by; both without the axis of samples."""

    case: RecurrentCase
    exact: Unrolled
    allowed: Unrolled


class _Signs:
    """Local errors of the largest size with random signs."""

    def __init__(self, unit: float, seed: int, *, fixed: bool) -> None:
        self.unit, self.fixed = unit, fixed
        self.rng = np.random.default_rng((seed, 17))

    def _moved(self, value: Array, by: Array) -> Array:
        signs = self.rng.integers(0, 2, value.shape, dtype=np.int8) * 2.0 - 1.0
        out: Array = value + signs * by
        return out

    def dot(self, product: Array, x: Array, w: Array) -> Array:
        size = np.abs(x) @ np.swapaxes(np.abs(w), -1, -2)
        return self._moved(product, max(FEW, 0.375 * x.shape[-1]) * self.unit * size)

    def small(self, value: Array, size: Array) -> Array:
        return self._moved(value, FEW * self.unit * size)

    def statistic(self, value: Array, size: Array, k: Setting) -> Array:
        return self._moved(value, bounds.SOUND.growth(k.n) * self.unit * size)

    def normalized(self, saved: Saved, k: Setting) -> Array:
        if self.fixed:
            return self._moved(saved.xh, FEW * self.unit * (np.abs(saved.x) + np.abs(saved.mu)) / saved.s)
        return self._moved(saved.xh, bounds.statistic(saved, condition(saved.x, saved.s), k, bounds.SOUND))

    def pulled(self, dx: Array, saved: Saved, g: Array, k: Setting) -> Array:
        scale = bounds.scale_from_saved(saved, k, g, fixed=self.fixed)
        if self.fixed:
            return self._moved(dx, FEW * self.unit * scale)
        loss = condition(saved.x, saved.s) + 0.5 * np.square(saved.xh[:, :1])
        return self._moved(dx, bounds.SOUND.growth(k.n) * self.unit * loss * scale)


def _spread(samples: Array, exact: Array, floor: float) -> Array:
    """K roots of the mean square of what the samples are off, each entry with its neighbors along the last axis.

    Squares are of shares of the largest: that of a gradient which has vanished over many steps would underflow.
    """
    off = np.abs(samples - exact)
    size = off.max(axis=(0, -1), keepdims=True, initial=0.0)
    square = np.square(off / np.where(size > 0.0, size, 1.0)).mean(axis=0)
    near = square.mean(axis=-1, keepdims=True)
    out: Array = K * size[0] * np.sqrt(square + NEIGHBORS * near) + floor
    return out


@keeping
def truth(entry: Recurrent, case: RecurrentCase, contract: Contract) -> RecurrentTruth:
    """The exact answer to a case under a contract, with what a correct net may be off by."""
    exact = unroll(entry, case, contract)
    fmt = case.format
    signs = _Signs(fmt.wide.u, int(case.drawn.get("seed", 0)), fixed=entry.over_cases and not case.training)
    rounding = Rounding(signs.dot, signs.small, signs.statistic, signs.normalized, signs.pulled)
    moved = unroll(entry, case, contract, RecurrentSteps(samples=SAMPLES, rounding=rounding))
    floor = FLOOR * fmt.floor

    def allowed(some: Mapping[str, Array], right: Mapping[str, Array]) -> dict[str, Array]:
        return {name: contract.bound_multiplier * _spread(value, right[name], floor) for name, value in some.items()}

    limits = Unrolled(
        contract.bound_multiplier * _spread(moved.y, exact.y, floor),
        allowed(moved.last, exact.last),
        allowed(moved.means, exact.means),
        allowed(moved.variances, exact.variances),
        allowed(moved.grads, exact.grads),
    )
    return RecurrentTruth(case, _single(exact), limits)


def _single(found: Unrolled) -> Unrolled:
    """Without the axis of samples."""

    def first(some: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value[0] for name, value in some.items()}

    return Unrolled(found.y[0], first(found.last), first(found.means), first(found.variances), first(found.grads))


def difference(one: Array, other: Array) -> Array:
    """Of two answers that are compared with each other, each off by its own bound."""
    return one + other


def first_value(value: float, shape: tuple[int, ...]) -> Array:
    """Of a parameter or statistic of a new net: one rounding to float32 in its constructor."""
    return np.asarray(FLOAT32.u * (1.0 + np.abs(np.full(shape, value))))


def kept_state(case: RecurrentCase, first: Array) -> Array:
    """Of a state, (cases, units), that is kept by gates with a bias of `OPEN`; first: the state that is kept.

    A step mixes in at most sigmoid(-OPEN / 2) of what is new, whose size is at most 1. Whichever way it is written,
    z h + (1 - z) n, or n + z (h - n) as torch does, its roundings are a few of numbers of the size |h| + |n|.
    """
    share = np.exp(-OPEN / 2.0) + FEW * case.format.u
    return np.asarray(case.steps * share * (1.0 + np.abs(first)))


def along(right: RecurrentTruth, role: str) -> Array:
    """Of <dL/dW, W> for the weight of a role, (1, 1): that of each entry of the gradient times the size of W's."""
    return np.asarray((right.allowed.grads[role] * np.abs(right.case.parameters[role])).sum(keepdims=True))


def mean_slope(right: RecurrentTruth, y: Array) -> Array:
    """Of the mean of 1 - y^2 over cases, (steps, units): 2 |y| times the error of y, and its own roundings."""
    return np.asarray((2.0 * np.abs(y) * right.allowed.y).mean(axis=1) + FEW * right.case.format.u)
