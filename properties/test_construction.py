"""A new layer: which parameters it has, how they start, and which options it takes."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import construction

CHECKS = construction.CHECKS


def test_construction(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
