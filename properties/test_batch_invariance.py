"""The bits of a case in batches of other sizes."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import batch_invariance

CHECKS = batch_invariance.CHECKS


def test_batch_invariance(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
