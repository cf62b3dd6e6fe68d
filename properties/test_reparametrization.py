"""A module keeps its function when its weight becomes a direction and a length, and gets it back."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import reparametrization

CHECKS = reparametrization.CHECKS


def test_reparametrization(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
