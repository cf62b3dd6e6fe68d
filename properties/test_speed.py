"""How fast beside torch's own function: collected with --benchmark-only, --benchmark-enable or --norm-max-slowdown."""

from __future__ import annotations

from typing import Any


def test_speed(norm_time: Any, norm_claim: Any, norm_shape: Any, benchmark: Any) -> None:
    """Right first, then timed in pairs, then judged."""
    norm_time(norm_claim, norm_shape, benchmark)
