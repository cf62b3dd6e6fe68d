"""How time grows with a size: an exponent with an interval, the sizes at which it jumps, and a verdict.

The model is t(n) = a + b n^p s_1 [n > n_1] s_2 [n > n_2]: a cost of the call, a power, and up to two jumps by a
factor, where a cache is left or threads are started. It is fitted to log t, so that every size counts alike; on a
grid over p and the share of a, b and the factors by Gauss and Newton's steps. The number of jumps is the one with
the least BIC as modified for change points (Zhang, Siegmund 2007, Biometrics 63). The interval of p is the profile
likelihood's with Student's quantile: all p that fit, for the best a, b and jumps, not significantly worse than the
best p. Where only the cost of the call is seen, every p does.
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

BETWEEN = 1.5
"""Exponents below are called linear (or less), above quadratic (or more): halfway on log axes."""

CONFIDENCE = 0.95
"""Of the interval of an exponent, two-sided."""

MOST_JUMPS, SIDE = 2, 2
"""Jumps at most, and sizes that there must be at each side of one: a last point alone is an outlier, no step."""

LEAST = 6
"""Sizes that a fit needs at least."""

EXPONENTS = np.linspace(0.0, 3.0, 301)
COARSE = 5
"""Every so many exponents are tried first."""

CELL = 1.0 / 6.0
ODDS = np.concatenate(([-12.0], np.arange(-2.0, 8.0, CELL)))
"""Cost of the call over the power's part at the smallest size, as decimal logarithms; the first is none."""

WINDOW = np.linspace(-1.5 * CELL, 1.5 * CELL, 19)
"""Around the best of those, to be tried next."""

KEPT = 4
"""Placements of the jumps that are tried finely, of each number of jumps."""

STEPS = 6
"""Steps of Gauss and Newton: they double the digits of a factor that is at first right to a few tens of percent."""

FLOOR = 0.01
"""Relative error of a time that is taken for granted: a better fit is chance, or the grid's coarseness."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Between two neighboring sizes the time is multiplied by a factor beyond the power; with its interval."""

    below: int
    above: int
    factor: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        return {"below": self.below, "above": self.above, "factor": self.factor, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Growth:
    """Exponent of time (or of memory) against a size. call: the part that does not grow, in the values' unit."""

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
    """A placement of jumps (each by the index of the first size above it), and the best odds for each exponent."""

    steps: tuple[int, ...]
    squares: Any  # residual squares, over exponents
    odds: Any

    @property
    def least(self) -> float:
        return float(self.squares.min())

    def penalty(self, count: int) -> float:
        """BIC; a jump costs as much as three parameters, since its place was searched for."""
        mean = max(self.least / count, FLOOR**2)
        return count * math.log(mean) + 3 * (1 + len(self.steps)) * math.log(count)


def _design(count: int, steps: tuple[int, ...]) -> Any:
    columns = [np.ones(count), *((np.arange(count) >= step).astype(float) for step in steps)]
    return np.stack(columns, axis=1)


def _grown(sizes: Any, exponents: Any) -> Any:
    """(n / n_0)^p over (exponent, 1, size)."""
    return (sizes / sizes[0])[None, None, :] ** exponents[:, None, None]


def _solved(logs: Any, grown: Any, calls: Any, design: Any) -> tuple[Any, Any, Any]:
    """Residuals, logarithms of b and of the factors (of the power alone), and the power's share of each time."""
    solved = np.zeros((*np.broadcast_shapes(grown.shape[:2], calls.shape[:2]), design.shape[1]))
    solved[..., 0] = (logs - np.log(calls + grown)).mean(-1)
    for step in range(STEPS + 1):
        power = grown * np.exp(solved[..., 1:] @ design[:, 1:].T)
        total = calls + power
        left = logs - solved[..., :1] - np.log(total)
        share = power / total
        slopes = design * share[..., None]
        slopes[..., 0] = 1.0
        if step < STEPS:
            turned = slopes.swapaxes(-1, -2)
            ridge = 1e-9 * np.eye(design.shape[1])  # a jump that the cost of the call hides has no slope
            move = np.linalg.solve(turned @ slopes + ridge, turned @ left[..., None])[..., 0]
            solved = solved + np.clip(move, -2.0, 2.0)
    return left, solved, share


def _fitted(logs: Any, grown: Any, odds: Any, steps: tuple[int, ...]) -> _Fit:
    """The best factors, then the best odds, for each exponent."""
    left, _, _ = _solved(logs, grown, 10.0 ** odds[:, :, None], _design(len(logs), steps))
    squares = (left**2).sum(-1)
    at = squares.argmin(axis=1)
    rows = np.arange(len(at))
    return _Fit(steps, squares[rows, at], np.broadcast_to(odds, squares.shape)[rows, at])


def _guessed(logs: Any, grown: Any, steps: tuple[int, ...]) -> _Fit:
    """Quickly, with jumps that multiply the cost of the call too: then all but p and the odds is linear."""
    left = logs - np.log(10.0 ** ODDS[None, :, None] + grown)
    basis, _ = np.linalg.qr(_design(len(logs), steps))
    squares = (left**2).sum(-1) - ((left @ basis) ** 2).sum(-1)
    return _Fit(steps, squares.min(axis=1), ODDS[squares.argmin(axis=1)])


def _placements(count: int, jumps: int) -> list[tuple[int, ...]]:
    places = combinations(range(SIDE, count - SIDE + 1), jumps)
    return [steps for steps in places if all(b - a >= SIDE for a, b in pairwise(steps))]


def _fits(logs: Any, sizes: Any) -> list[_Fit]:
    """The best placements of no jump, one and two, fitted finely."""
    count = len(logs)
    coarse, fine = _grown(sizes, EXPONENTS[::COARSE]), _grown(sizes, EXPONENTS)
    near = np.rint(np.arange(len(EXPONENTS)) / COARSE).astype(int)
    out = []
    for jumps in range(min(MOST_JUMPS, (count - 4) // 3) + 1):
        guessed = [_guessed(logs, coarse, steps) for steps in _placements(count, jumps)]
        for one in sorted(guessed, key=lambda fit: fit.least)[:KEPT]:
            better = _fitted(logs, coarse, ODDS[None, :], one.steps)
            out.append(_fitted(logs, fine, better.odds[near, None] + WINDOW[None, :], one.steps))
    return out


def _jumps(steps: tuple[int, ...], sizes: Sequence[int], solved: Any, share: Any, unsure: float) -> tuple[Jump, ...]:
    """The jumps with their intervals; one that may be none is left out. unsure: of one time, in logarithms."""
    slopes = _design(len(sizes), steps) * share[:, None]
    slopes[:, 0] = 1.0
    others = np.stack((share * np.log(np.asarray(sizes) / sizes[0]), 1.0 - share), axis=1)  # of p, of the odds
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
    if len(sizes) < LEAST or any(b <= a for a, b in pairwise(sizes)) or sizes[0] < 1:
        raise ValueError(f"growth is fitted over {LEAST} or more rising sizes, not {list(sizes)}")
    if not min(values) > 0.0:
        raise ValueError("a value took no time: the clock is too coarse, or it was tampered with")
    count, logs = len(sizes), np.log(np.asarray(values, dtype=np.float64))
    found = _fits(logs, np.asarray(sizes, dtype=np.float64))
    best = min(found, key=lambda one: one.penalty(count))
    freedom = max(1, count - 3 - 2 * len(best.steps))
    t, spread2 = quantile(freedom, CONFIDENCE), max(best.least, count * FLOOR**2) / freedom
    rivals = [one.squares for one in found if len(one.steps) <= len(best.steps)]
    fits = np.min(rivals, axis=0) <= best.least + spread2 * t**2  # for each exponent
    low, high = float(EXPONENTS[fits].min()), float(EXPONENTS[fits].max())
    at = int(best.squares.argmin())
    exponent, odds = EXPONENTS[at : at + 1], best.odds[at : at + 1, None]
    grown = _grown(np.asarray(sizes, dtype=np.float64), exponent)
    _, solved, share = _solved(logs, grown, 10.0 ** odds[:, :, None], _design(count, best.steps))
    jumps = _jumps(best.steps, sizes, solved[0, 0], share[0, 0], t * math.sqrt(spread2))
    call = 10.0 ** float(odds[0, 0]) * math.exp(float(solved[0, 0, 0]))
    verdict, reason = _judged(low, high)
    return Growth(tuple(sizes), tuple(map(float, values)), float(exponent[0]), low, high, call, jumps, verdict, reason)


def _judged(low: float, high: float) -> tuple[str, str]:
    if low <= EXPONENTS[0]:
        return INCONCLUSIVE, "the cost of the call hides how the rest grows; ask for larger sizes"
    if high < BETWEEN:
        return LINEAR, ""
    if low > BETWEEN:
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
    """The shortest time of a call at each size, from rounds over all sizes in an order that is drawn anew each time.

    The shortest, because noise only slows. Sizes are tried from small to large, and none beyond one that takes longer
    than `longest` seconds: what grows fast would take the machine's memory and time. No round begins after `seconds`.
    """  # fmt: skip
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
