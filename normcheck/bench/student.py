"""Student's t distribution, for intervals over a few repetitions: scipy would be a large dependency for these lines."""

from __future__ import annotations

import math
from functools import cache

HALVINGS = 200
"""Halvings of the interval in which a quantile is searched for: more than a float has digits."""

FARTHEST = 1e6
"""Upper end of the search: beyond it lies a probability below 1e-6, even with one degree of freedom."""


def within(t: float, freedom: int) -> float:
    """Probability that |T| <= t (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4; finite sums).

    freedom: degrees of freedom, 1 or more.

    >>> round(within(2.228, 10), 3)
    0.95
    """
    odd = freedom % 2
    angle = math.atan(t / math.sqrt(freedom))
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    probability = math.sin(angle) * total
    return 2.0 / math.pi * (angle + probability) if odd else probability


@cache
def quantile(freedom: int, confidence: float) -> float:
    """The t for which |T| <= t has probability `confidence`.

    >>> [round(quantile(v, 0.95), 3) for v in (1, 2, 10, 30)]
    [12.706, 4.303, 2.228, 2.042]
    """
    low, high = 0.0, FARTHEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if within(middle, freedom) < confidence else (low, middle)
    return high
