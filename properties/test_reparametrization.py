"""A module keeps its function when its weight becomes a direction and a length, and when that is undone."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import reparametrization

CHECKS = reparametrization.CHECKS


def test_reparametrization(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
