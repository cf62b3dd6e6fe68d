"""How time grows with a size: an exponent with an interval, the sizes at which the time jumps, and a verdict.

The model is t(n) = a + b n^p s_1 [n > n_1] s_2 [n > n_2]: the cost of a call, a power, and up to two jumps by a factor,
where the data no longer fits into a cache or threads are started. It is fitted to log t, so that every size has the
same weight: on a grid over p and over the ratio of a to b, and in the factors by Gauss-Newton steps. The number of
jumps is the one with the least BIC as modified for change points (Zhang, Siegmund 2007, Biometrics 63). The interval of
p is that of the profile likelihood with Student's quantile: all p that, with their best a, b and jumps, do not fit
significantly worse than the best p. If only the cost of the call is visible, every p is in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from normcheck.bench.pairs import Arm, now
from normcheck.bench.student import quantile

LINEAR, QUADRATIC, INCONCLUSIVE = "linear", "quadratic", "inconclusive"

QUADRATIC_FROM = 1.5
"""Exponents below are called linear (or less), above quadratic (or more): halfway on logarithmic axes."""

CONFIDENCE = 0.95
"""Of the two-sided interval of an exponent: the usual level, as both linear and quadratic lie half an exponent away
from the border of a verdict."""

MOST_JUMPS, SIZES_BESIDE = 2, 2
"""The most jumps, and the least number of sizes on each side of one: a single last point is an outlier, not a step."""

LEAST_SIZES = 6
"""The least number of sizes for a fit: the model has three parameters, and the interval needs degrees of freedom."""

EXPONENTS = np.linspace(0.0, 3.0, 301)
"""The grid of exponents in steps of 0.01, finer than any interval: from no growth to cubic."""
COARSE_STEP = 5
"""The first search uses one in so many exponents: neighbors need the same jumps and almost the same odds."""

CELL = 1.0 / 6.0
"""Spacing of the grid of odds, in decades: fine enough to find the valley that the window then refines."""
ODDS = np.concatenate(([-12.0], np.arange(-2.0, 8.0, CELL)))
"""The cost of the call over the power's part at the smallest size, as decimal logarithms; the first means no cost."""

WINDOW = np.linspace(-1.5 * CELL, 1.5 * CELL, 19)
"""Odds tried next, around the best on the grid: over its neighbors, since the best may lie between grid points."""

KEPT_PLACEMENTS = 4
"""Placements of the jumps that are fitted finely, for each number of jumps: the coarse order may be slightly wrong."""

NEWTON_STEPS = 6
"""Gauss-Newton steps: each doubles the correct digits of a factor that is at first within some tens of percent."""

FLOOR = 0.01
"""The relative error of a time that is assumed at least: a better fit is chance, or the grid's spacing."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Between two neighboring sizes the time is multiplied by a factor beyond the power; low, high: its interval."""

    below: int
    above: int
    factor: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        """Keys: below, above, factor, low, high."""
        return {"below": self.below, "above": self.above, "factor": self.factor, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Growth:
    """The exponent of time or memory against a size. call: the part that does not grow, in the unit of the values."""

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    exponent: float
    low: float
    high: float
    call: float
    jumps: tuple[Jump, ...]
    verdict: str
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """Keys: sizes, values, exponent, low, high, call, jumps (each as `Jump.record`), verdict, reason."""
        return {
            "sizes": list(self.sizes), "values": list(self.values), "exponent": self.exponent, "low": self.low,
            "high": self.high, "call": self.call, "jumps": [jump.record() for jump in self.jumps],
            "verdict": self.verdict, "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fit:
    """A placement of jumps (each as the index of the first size above it), and the best odds for each exponent."""

    steps: tuple[int, ...]
    squares: Any  # sums of squared residuals, over exponents
    odds: Any

    @property
    def least(self) -> float:
        """The least sum of squared residuals."""
        return float(self.squares.min())

    def penalty(self, count: int) -> float:
        """The BIC; a jump costs as much as three parameters, because its place was searched for."""
        mean = max(self.least / count, FLOOR**2)
        return count * math.log(mean) + 3 * (1 + len(self.steps)) * math.log(count)


def _design(count: int, steps: tuple[int, ...]) -> Any:
    columns = [np.ones(count), *((np.arange(count) >= step).astype(float) for step in steps)]
    return np.stack(columns, axis=1)


def _powers(sizes: Any, exponents: Any) -> Any:
    """(n / n_0)^p, over (exponent, 1, size)."""
    return (sizes / sizes[0])[None, None, :] ** exponents[:, None, None]


def _solve(logs: Any, powers: Any, calls: Any, design: Any) -> tuple[Any, Any, Any]:
    """Residuals, logarithms of b and of the factors (of the power alone), and the power's share of each time."""
    solved = np.zeros((*np.broadcast_shapes(powers.shape[:2], calls.shape[:2]), design.shape[1]))
    solved[..., 0] = (logs - np.log(calls + powers)).mean(-1)
    for step in range(NEWTON_STEPS + 1):
        power = powers * np.exp(solved[..., 1:] @ design[:, 1:].T)
        total = calls + power
        left = logs - solved[..., :1] - np.log(total)
        share = power / total
        slopes = design * share[..., None]
        slopes[..., 0] = 1.0
        if step < NEWTON_STEPS:
            turned = slopes.swapaxes(-1, -2)
            ridge = 1e-9 * np.eye(design.shape[1])  # the slope of a jump vanishes if the cost of the call hides it
            move = np.linalg.solve(turned @ slopes + ridge, turned @ left[..., None])[..., 0]
            solved = solved + np.clip(move, -2.0, 2.0)  # a longer step overshoots
    return left, solved, share


def _fit_finely(logs: Any, powers: Any, odds: Any, steps: tuple[int, ...]) -> _Fit:
    """The best factors, then the best odds, for each exponent."""
    left, _, _ = _solve(logs, powers, 10.0 ** odds[:, :, None], _design(len(logs), steps))
    squares = (left**2).sum(-1)
    at = squares.argmin(axis=1)
    rows = np.arange(len(at))
    return _Fit(steps, squares[rows, at], np.broadcast_to(odds, squares.shape)[rows, at])


def _fit_coarsely(logs: Any, powers: Any, steps: tuple[int, ...]) -> _Fit:
    """A quick fit in which jumps multiply the cost of the call too: then all but p and the odds is linear."""
    left = logs - np.log(10.0 ** ODDS[None, :, None] + powers)
    basis, _ = np.linalg.qr(_design(len(logs), steps))
    squares = (left**2).sum(-1) - ((left @ basis) ** 2).sum(-1)
    return _Fit(steps, squares.min(axis=1), ODDS[squares.argmin(axis=1)])


def _placements(count: int, jumps: int) -> list[tuple[int, ...]]:
    places = combinations(range(SIZES_BESIDE, count - SIZES_BESIDE + 1), jumps)
    return [steps for steps in places if all(b - a >= SIZES_BESIDE for a, b in pairwise(steps))]


def _fits(logs: Any, sizes: Any) -> list[_Fit]:
    """The best placements of no jump, one jump and two, fitted finely."""
    count = len(logs)
    coarse, fine = _powers(sizes, EXPONENTS[::COARSE_STEP]), _powers(sizes, EXPONENTS)
    near = np.rint(np.arange(len(EXPONENTS)) / COARSE_STEP).astype(int)
    out = []
    for jumps in range(min(MOST_JUMPS, (count - 4) // 3) + 1):
        guessed = [_fit_coarsely(logs, coarse, steps) for steps in _placements(count, jumps)]
        for one in sorted(guessed, key=lambda fit: fit.least)[:KEPT_PLACEMENTS]:
            better = _fit_finely(logs, coarse, ODDS[None, :], one.steps)
            out.append(_fit_finely(logs, fine, better.odds[near, None] + WINDOW[None, :], one.steps))
    return out


def _jumps(steps: tuple[int, ...], sizes: Sequence[int], solved: Any, share: Any, unsure: float) -> tuple[Jump, ...]:
    """The jumps with their intervals, without those whose interval contains 1. unsure: error of one log time."""
    slopes = _design(len(sizes), steps) * share[:, None]
    slopes[:, 0] = 1.0
    others = np.stack(
        (share * np.log(np.asarray(sizes) / sizes[0]), 1.0 - share), axis=1
    )  # slopes in p and in the odds
    together = np.concatenate((slopes, others), axis=1)
    errors = unsure * np.sqrt(np.diag(np.linalg.pinv(together.T @ together)))[: slopes.shape[1]]
    out = []
    for step, value, error in zip(steps, solved[1:], errors[1:], strict=True):
        if abs(value) > error:
            low, high = math.exp(value - error), math.exp(value + error)
            out.append(Jump(sizes[step - 1], sizes[step], math.exp(value), low, high))
    return tuple(out)


def fit(sizes: Sequence[int], values: Sequence[float]) -> Growth:
    """Fit the growth of positive values over rising sizes.

    Raises `ValueError` for fewer than six sizes, for sizes that do not rise, and for values that are not positive.
    """
    if len(sizes) < LEAST_SIZES or any(b <= a for a, b in pairwise(sizes)) or sizes[0] < 1:
        raise ValueError(f"growth is fitted over {LEAST_SIZES} or more rising sizes, not {list(sizes)}")
    if not min(values) > 0.0:
        raise ValueError("a value took no time: the clock is too coarse, or it was tampered with")
    count, logs = len(sizes), np.log(np.asarray(values, dtype=np.float64))
    fits = _fits(logs, np.asarray(sizes, dtype=np.float64))
    best = min(fits, key=lambda one: one.penalty(count))
    freedom = max(1, count - 3 - 2 * len(best.steps))
    t, spread2 = quantile(freedom, CONFIDENCE), max(best.least, count * FLOOR**2) / freedom
    rivals = [one.squares for one in fits if len(one.steps) <= len(best.steps)]
    compatible = np.min(rivals, axis=0) <= best.least + spread2 * t**2  # for each exponent
    low, high = float(EXPONENTS[compatible].min()), float(EXPONENTS[compatible].max())
    at = int(best.squares.argmin())
    exponent, odds = EXPONENTS[at : at + 1], best.odds[at : at + 1, None]
    powers = _powers(np.asarray(sizes, dtype=np.float64), exponent)
    _, solved, share = _solve(logs, powers, 10.0 ** odds[:, :, None], _design(count, best.steps))
    jumps = _jumps(best.steps, sizes, solved[0, 0], share[0, 0], t * math.sqrt(spread2))
    call = 10.0 ** float(odds[0, 0]) * math.exp(float(solved[0, 0, 0]))
    verdict, reason = _verdict(low, high)
    return Growth(tuple(sizes), tuple(map(float, values)), float(exponent[0]), low, high, call, jumps, verdict, reason)


def _verdict(low: float, high: float) -> tuple[str, str]:
    if low <= EXPONENTS[0]:
        return INCONCLUSIVE, "the cost of the call hides how the rest grows; larger sizes are needed"
    if high < QUADRATIC_FROM:
        return LINEAR, ""
    if low > QUADRATIC_FROM:
        return QUADRATIC, ""
    return INCONCLUSIVE, f"exponents from {low:.2f} to {high:.2f} fit"


def sweep(
    make: Callable[[int], Arm],
    sizes: Sequence[int],
    rounds: int = 9,
    longest: float = 0.25,
    seconds: float = 20.0,
    clock: Callable[[], float] = now,
    seed: int = 0,
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The sizes tried, and the shortest time in seconds of a call at each, over rounds in a new random order each time.

    The shortest, because noise only slows. Sizes are tried from small to large, and none beyond one that takes longer
    than `longest` seconds: what grows fast would use up memory and time. No round begins after `seconds`.
    """
    arms: dict[int, Arm] = {}
    best: dict[int, float] = {}
    started = clock()
    for size in sizes:
        arms[size] = make(size)
        arms[size]()  # first calls compile and allocate
        best[size] = arms[size]()
        if best[size] > longest:
            break
    order = np.random.default_rng(seed)
    tried = tuple(arms)
    for _ in range(rounds):
        if clock() - started > seconds:
            break
        for at in order.permutation(len(tried)):
            best[tried[at]] = min(best[tried[at]], arms[tried[at]]())
    return tried, tuple(best[size] for size in tried)
