"""Strides, offsets and memory formats."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import layout

CHECKS = layout.CHECKS


def test_layout(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
