"""Can the implementation be loaded, bound and called at all: asked first."""

from __future__ import annotations

from typing import Any


def test_call(norm_ask: Any, norm_claim: Any) -> None:
    """The target is loaded and answers an ordinary input."""
    norm_ask(norm_claim, None)
