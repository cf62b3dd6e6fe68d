"""No rows, odd shapes, a million members, rows in numbers around sixteen bits."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import sizes

CHECKS = sizes.CHECKS


def test_sizes(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
