"""What torch's functions refuse: sizes that do not fit each other."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import refusals

CHECKS = refusals.CHECKS


def test_refusals(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
