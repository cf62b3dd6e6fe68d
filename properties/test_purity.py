"""What a call may not change, and may not remember."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import purity

CHECKS = purity.CHECKS


def test_purity(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
