"""The backward against the forward, and through which statistics it passes."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import gradient

CHECKS = gradient.CHECKS


def test_gradients(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
