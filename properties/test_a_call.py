"""Whether the implementation can be loaded, bound and called. Runs first."""

from __future__ import annotations

from typing import Any


def test_call(norm_ask: Any, norm_claim: Any) -> None:
    """The target can be loaded, bound and called on an ordinary input."""
    norm_ask(norm_claim, None)
