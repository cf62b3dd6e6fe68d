"""Student's distribution, for intervals over a few repetitions. scipy would be a large dependency for these lines."""

from __future__ import annotations

import math
from functools import cache

STEPS = 200
"""Halvings of an interval: more than a float has digits."""

FARTHEST = 1e6
"""Where a quantile is looked for: beyond it lies less than a millionth, with one degree of freedom."""


def within(t: float, freedom: int) -> float:
    """Probability that |T| <= t (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4; finite sums).

    >>> round(within(2.228, 10), 3)
    0.95
    """
    odd = freedom % 2
    angle = math.atan(t / math.sqrt(freedom))
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    found = math.sin(angle) * total
    return 2.0 / math.pi * (angle + found) if odd else found


@cache
def quantile(freedom: int, confidence: float) -> float:
    """The t that |T| stays below with that probability.

    >>> [round(quantile(v, 0.95), 3) for v in (1, 2, 10, 30)]
    [12.706, 4.303, 2.228, 2.042]
    """
    low, high = 0.0, FARTHEST
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if within(middle, freedom) < confidence else (low, middle)
    return high
