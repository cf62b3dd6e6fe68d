"""The six columns of Table 1 of the layer-norm paper."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import invariance

CHECKS = invariance.CHECKS


def test_table(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
