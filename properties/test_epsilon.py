"""What eps must do."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import epsilon

CHECKS = epsilon.CHECKS


def test_epsilon(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
