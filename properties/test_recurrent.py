"""Recurrent networks: the formula step by step, gradients through time, statistics of each step, padding."""

from __future__ import annotations

from typing import Any

from normcheck.families.recurrent import checks

CHECKS = checks.CHECKS


def test_recurrent_nets(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
