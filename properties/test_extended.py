"""Columns beyond Table 1: reparametrization, independence of the batch."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import extended

CHECKS = extended.CHECKS


def test_extended(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
