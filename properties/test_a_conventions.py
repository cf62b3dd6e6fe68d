"""Whether the implementation follows the conventions that it claims. Runs before all other checks."""

from __future__ import annotations

from typing import Any


def test_conventions(norm_conventions: Any, norm_measured: Any) -> None:
    """Divisor, place of eps, form of the weight, gradient, momentum: what was measured is what is declared."""
    norm_conventions(norm_measured)
