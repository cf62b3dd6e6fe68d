"""What ReLU, sigmoid and tanh receive from a normalizer below them."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import activations

CHECKS = activations.CHECKS


def test_activations(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
