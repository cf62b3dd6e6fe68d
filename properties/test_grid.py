"""Every width, every number of sets, weights of every sign and size."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import grid

CHECKS = grid.CHECKS


def test_grid(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
