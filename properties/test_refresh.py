"""Layers in refreshed coordinates: their function, their statistics, and their steps under transformations."""

from __future__ import annotations

from typing import Any

from normcheck.families.reparametrized import checks

CHECKS = checks.CHECKS


def test_refresh(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
