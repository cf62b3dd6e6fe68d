"""Empty inputs, odd shapes, a million members, numbers of rows around sixteen bits."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import sizes

CHECKS = sizes.CHECKS


def test_sizes(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
