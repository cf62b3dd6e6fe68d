"""Laws of the forward beyond Table 1."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import laws

CHECKS = laws.CHECKS


def test_laws(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
