"""NaN, infinities, signed zeros, numbers at the ends of the range."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import special

CHECKS = special.CHECKS


def test_special(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
