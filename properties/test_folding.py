"""Folding into the weights, and the affine map of evaluation mode."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import folding

CHECKS = folding.CHECKS


def test_folding(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
