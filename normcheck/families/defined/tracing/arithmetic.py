"""How traced values compute: with which roundoff, and how they are summed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normcheck.core.floats import Format

Reduce = Callable[[Any, Any], Any]
"""The sum of a traced array along axes, which stay with length 1."""

Elementwise = Callable[[Any, tuple[Any, ...]], Any]
"""What an elementwise function of numpy gives, from it and its arguments, of which one is traced."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How traced values compute: the roundoff of each operation, and what a fault replaces: sums, means, functions."""

    u: float
    reduce: Reduce | None = None
    mean: Reduce | None = None
    elementwise: Elementwise | None = None


def arithmetic_of(format: Format) -> Arithmetic:
    """That in which a sound implementation computes for inputs of a format."""
    return Arithmetic(format.wide.u)
