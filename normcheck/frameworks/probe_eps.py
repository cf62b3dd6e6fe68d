"""The values of eps that an implementation accepts, found by calling it: some raise for a small or a large one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from normcheck.frameworks.guard import failure
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.subject import Call

SMALL = (1e-5 * 2.0**-60, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5)
"""Values of eps, from one that changes no result to one that every layer accepts."""

LARGE = (0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Values of eps, from one that no layer has in use to one that every layer accepts."""


def least_eps(normalizer: Normalizer, call: Call, base: Draw, absent: dict[str, str]) -> float:
    """The smallest eps that the implementation accepts, 0 if it accepts all."""
    return _first_accepted(SMALL, "below", normalizer, call, base, absent) or 0.0


def most_eps(normalizer: Normalizer, call: Call, base: Draw, absent: dict[str, str]) -> float:
    """The largest eps that the implementation accepts, infinity if it accepts all: some take none above 0.001."""
    return _first_accepted(LARGE, "above", normalizer, call, base, absent) or math.inf


def _first_accepted(
    some: Sequence[float], side: str, normalizer: Normalizer, call: Call, base: Draw, absent: dict[str, str]
) -> float | None:
    """The first of these values that is accepted, and why those before it are not; None if it is the first of all."""
    if normalizer.eps is None:
        return None
    why = ""
    for eps in some:
        refused = failure(call, values(normalizer, replace(base, eps=eps)))
        if not refused:
            if not why:
                return None
            absent[f"eps {side} {eps:g}"] = why
            return eps
        why = refused
    return some[-1]
