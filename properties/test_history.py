"""One layer over several calls."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import history

CHECKS = history.CHECKS


def test_history(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
