"""Optimizers that follow the geometry of a network: their steps, and torch's optimizer interface."""

from __future__ import annotations

from typing import Any

from normcheck.families.path_optimizer import checks

CHECKS = checks.CHECKS


def test_descent(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
