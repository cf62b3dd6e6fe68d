"""Speed beside torch's own function: collected with --benchmark-only, --benchmark-enable or --norm-max-*."""

from __future__ import annotations

from typing import Any


def test_speed(norm_time: Any, norm_claim: Any, norm_shape: Any, benchmark: Any) -> None:
    """Checked for correctness, then timed in pairs, then compared with the limits."""
    norm_time(norm_claim, norm_shape, benchmark)


def test_growth(norm_grow: Any, norm_claim: Any, norm_pass: Any, norm_over: Any) -> None:
    """Checked for correctness, then timed over widths or rows: a normalizer's time is linear in both."""
    norm_grow(norm_claim, norm_pass, norm_over)
