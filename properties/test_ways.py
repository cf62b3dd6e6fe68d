"""Every way to call a layer gives the answer of a plain call."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import call_modes

CHECKS = call_modes.CHECKS


def test_ways(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
