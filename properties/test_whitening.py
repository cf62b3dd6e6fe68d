"""Layers that decorrelate channels: closed forms, laws of their matrices, equal eigenvalues."""

from __future__ import annotations

from typing import Any

from normcheck.families.whitening import checks

CHECKS = checks.CHECKS


def test_whitening(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
