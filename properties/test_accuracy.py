"""Accuracy: the distance between the output and the exact one."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import accuracy

CHECKS = accuracy.CHECKS


def test_accuracy(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
