"""Families that have no file of their own here: all their checks."""

from __future__ import annotations

from typing import Any

from normcheck.families import checks

CHECKS = checks.CHECKS


def test_family(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
