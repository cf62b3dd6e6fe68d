"""Optimizers that follow the geometry of a net: their steps, and torch's interface."""

from __future__ import annotations

from typing import Any

from normcheck.families.path_optimizer import checks

CHECKS = checks.CHECKS


def test_descent(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
