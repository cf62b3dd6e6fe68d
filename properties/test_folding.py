"""Folding and the line of evaluation."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import folding

CHECKS = folding.CHECKS


def test_folding(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
