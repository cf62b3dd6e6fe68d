"""What an unknown callable is, for the commands that print it."""

from __future__ import annotations

from typing import Any

from normcheck import families


def identity_record(target: str) -> dict[str, Any]:
    """The record of what a target computes. Raises `UsageError` if it cannot be loaded, or called as any kind."""
    found: dict[str, Any] = families.identify(target).record()
    return found
