"""Layers in refreshed coordinates: functions that stay, statistics that stay, steps and what they commute with."""

from __future__ import annotations

from typing import Any

from normcheck.families.reparametrized import checks

CHECKS = checks.CHECKS


def test_refresh(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
