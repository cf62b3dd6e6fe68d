"""Small networks, trained for some steps."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import networks, weight_norm_nets

CHECKS = networks.CHECKS + weight_norm_nets.CHECKS


def test_networks(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
