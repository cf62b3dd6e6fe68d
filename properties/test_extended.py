"""Columns beyond Table 1: reparametrization, independence of the batch, independence of the length."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import extended

CHECKS = extended.CHECKS


def test_extended(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
