"""Running statistics."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import statistics

CHECKS = statistics.CHECKS


def test_statistics(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
