"""How close is the output to the exact one."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import accuracy

CHECKS = accuracy.CHECKS


def test_accuracy(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
