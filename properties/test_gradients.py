"""The backward against the forward, and the statistics through which it passes."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import gradient

CHECKS = gradient.CHECKS


def test_gradients(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
