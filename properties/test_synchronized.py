"""Normalizers whose input is divided among processes: each rank against one process, groups, empty shards."""

from __future__ import annotations

from typing import Any

from normcheck.families.synchronized import checks

CHECKS = checks.CHECKS


def test_synchronized(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
