"""Side effects: what a call must not change, and what it must not remember."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import purity

CHECKS = purity.CHECKS


def test_purity(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
