"""Programs that tools make of the code: compiled, exported, run as a model of ONNX."""

from __future__ import annotations

from typing import Any

from normcheck.normalizers.checks import translated

CHECKS = translated.CHECKS


def test_translated(norm_ask: Any, norm_question: Any) -> None:
    """One test for each claim and each check of `CHECKS`."""
    norm_ask(*norm_question)
