"""What ReLU, sigmoid and tanh get from a normalizer below them."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import activations

CHECKS = activations.CHECKS


def test_activations(norm_ask: Any, norm_question: Any) -> None:
    """Every check of this file holds, or finds its witness."""
    norm_ask(*norm_question)
