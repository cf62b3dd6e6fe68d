"""The effect of eps."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import epsilon

CHECKS = epsilon.CHECKS


def test_epsilon(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
