"""How far a correct recurrent net may be off, on this very case: its own first-order errors, carried by its own steps.

An absolute bound that is carried from step to step takes the absolute value of every Jacobian, and grows by tens at
each step where the true error does not. So errors are carried with their signs: to first order the error of a result
is the sum over all operations j of L_j d_j, with L_j the true sensitivity and |d_j| <= b_j the local bound of that
operation (dot products and norms as in `bounds`, a few units in the last place for the rest). Rounding errors of
different operations are independent of each other as far as anybody can tell (Higham and Mary 2019), so by Hoeffding
the sum stays below K sqrt(sum L_j^2 b_j^2) but for a chance of 2 exp(-K^2 / 2). That root is measured: the reference
runs, backward included, in samples where every d_j is +b_j or -b_j at random, and the root of their mean square is
taken, with a share of that of the neighbors in the same step, since few samples may be small by chance.

Nonlinear effects are inside, for each sample is a run of the true net. Where a norm multiplies noise (a step whose
cases are alike) the bound grows as the error does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.reference.nets import Unrolled, unroll
from normcheck.families.recurrent.reference.norms import Rounding, Ways
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import condition
from normcheck.normalizers.reference.standardize import Saved, Setting

SAMPLES = 12
"""Runs whose mean square stands for the sum over operations."""

K = 4.0
"""Roots of the mean square that are allowed."""

FEW = 4.0
"""Units in the last place that a handful of operations may lose."""


@dataclass(frozen=True)
class RecurrentTruth:
    """The exact answer, and by how much each part of it may be missed; both without the axis of samples."""

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
    """K roots of the mean square of what the samples are off, each entry with its neighbors along the last axis."""
    square = np.square(samples - exact).mean(axis=0)
    near = square.mean(axis=-1, keepdims=True)
    out: Array = K * np.sqrt(square + 0.25 * near) + floor
    return out


def truth(entry: Recurrent, case: RecurrentCase, contract: Contract) -> RecurrentTruth:
    """The exact answer to a case under a contract, with what is allowed."""
    exact = unroll(entry, case, contract)
    fmt = case.format
    signs = _Signs(fmt.wide.u, int(case.drawn.get("seed", 0)), fixed=entry.norm == "batch" and not case.training)
    rounding = Rounding(signs.dot, signs.small, signs.statistic, signs.normalized, signs.pulled)
    moved = unroll(entry, case, contract, Ways(samples=SAMPLES, rounding=rounding))
    floor = 4.0 * fmt.floor

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
