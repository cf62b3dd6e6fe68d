"""Training and evaluation mode, and parameters that change between two calls."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import modes

CHECKS = modes.CHECKS


def test_modes(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
