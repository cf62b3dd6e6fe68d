"""Every way to call a layer returns the result of a plain call."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import call_modes

CHECKS = call_modes.CHECKS


def test_ways(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
