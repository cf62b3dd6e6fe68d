"""Laws of the forward beyond the table."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import laws

CHECKS = laws.CHECKS


def test_laws(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
